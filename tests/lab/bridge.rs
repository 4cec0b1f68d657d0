//! Bridges and what the netfilter of a bridge does to them.

use anyhow::Result;

use crate::netns::Netns;

/// Makes a bridge with these ports and sets it up.
///
/// Without an MTU of its own a bridge follows its smallest port; one that was set by hand stays.
///
/// # Errors
///
/// The name is taken, or a port does not exist.
pub fn add(netns: &Netns, name: &str, ports: &[&str], forced_mtu: Option<u32>) -> Result<()> {
    // Without a forwarding delay a port forwards from its first packet on.
    let mut batch = format!("link add {name} type bridge forward_delay 0\n");
    for port in ports {
        batch.push_str(&format!("link set {port} master {name}\n"));
    }
    if let Some(mtu) = forced_mtu {
        batch.push_str(&format!("link set {name} mtu {mtu}\n"));
    }
    batch.push_str(&format!("link set {name} up\n"));
    netns.ip(&batch)
}

/// Says whether the netfilter hooks of IP see what this namespace's bridges pass on.
///
/// The kernel's default is on, and so is Docker's; off is a bridge by itself.
///
/// # Errors
///
/// The kernel has no bridge netfilter.
pub fn set_netfilter(netns: &Netns, on: bool) -> Result<()> {
    let value = if on { "1" } else { "0" };
    netns.sysctl("bridge/bridge-nf-call-iptables", value)?;
    netns.sysctl("bridge/bridge-nf-call-ip6tables", value)
}
