//! Veth pairs: their ends, MTUs and offloads.

use anyhow::Result;

use crate::command;
use crate::netns::Netns;

/// One end of a veth pair: where it is, what it is called, how large its packets may be.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The namespace.
    pub netns: &'a Netns,
    /// The interface's name, at most 15 bytes.
    pub name: &'a str,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// Makes a veth pair whose ends are born in their namespaces, and sets both up.
///
/// # Errors
///
/// A name is taken or too long, or an MTU is out of range.
pub fn veth(a: End<'_>, b: End<'_>) -> Result<()> {
    a.netns.ip(&format!(
        "link add {} mtu {} type veth peer name {} mtu {} netns {}\nlink set {} up\n",
        a.name,
        a.mtu,
        b.name,
        b.mtu,
        b.netns.name(),
        a.name
    ))?;
    b.netns.ip(&format!("link set {} up\n", b.name))
}

/// Sets an interface's MTU.
///
/// # Errors
///
/// There is no such interface, or the MTU is out of range.
pub fn set_mtu(netns: &Netns, name: &str, mtu: u32) -> Result<()> {
    netns.ip(&format!("link set {name} mtu {mtu}\n"))
}

/// Sets an interface down: what is at its end of the link is dead, and nobody is told.
///
/// Its IPv6 addresses and its routes go with it.
///
/// # Errors
///
/// There is no such interface.
pub fn set_down(netns: &Netns, name: &str) -> Result<()> {
    netns.ip(&format!("link set {name} down\n"))
}

/// Switches segmentation and receive offloads of an interface on or off.
///
/// With them on, a veth or a bridge passes packets of many segments whatever their length, and only
/// a single full-size segment meets the MTU: off makes a fault show on every full-size segment.
///
/// # Errors
///
/// ethtool refuses.
pub fn set_offloads(netns: &Netns, name: &str, on: bool) -> Result<()> {
    let state = if on { "on" } else { "off" };
    netns
        .run(|| {
            command::run(
                "ethtool",
                &["-K", name, "tso", state, "gso", state, "gro", state],
            )
        })
        .map(drop)
}
