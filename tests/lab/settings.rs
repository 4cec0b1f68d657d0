//! Settings of a sender or a router that change what path MTU discovery does.

use std::ffi::{c_int, c_void};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::netns::Netns;

/// What `tcp_mtu_probing` tells a sender to do (RFC 4821).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probing {
    /// Rely on ICMP.
    Off,
    /// Look for a size that passes when packets seem to vanish.
    OnSuspicion,
    /// Begin with a small size and look for larger ones. A server's end of a connection has its first
    /// size before the kernel comes to this (`tcp_init_transfer`), and behaves as on suspicion.
    Always,
}

/// Sets `tcp_mtu_probing`, which is for IPv4 and IPv6.
///
/// # Errors
///
/// The setting cannot be written.
pub fn probe_mtu(netns: &Netns, probing: Probing) -> Result<()> {
    let value = match probing {
        Probing::Off => "0",
        Probing::OnSuspicion => "1",
        Probing::Always => "2",
    };
    netns.sysctl("ipv4/tcp_mtu_probing", value)
}

/// Sets `ip_no_pmtu_disc`, 0 to 3. All but 0 make new sockets send IPv4 without DF; what is done about
/// an ICMP differs.
///
/// # Errors
///
/// The setting cannot be written.
pub fn no_discovery(netns: &Netns, mode: u8) -> Result<()> {
    netns.sysctl("ipv4/ip_no_pmtu_disc", &mode.to_string())
}

/// Locks the MTU of the route to `destination`: a host route of its own with `mtu lock`.
///
/// # Errors
///
/// There is no route to it, or one with a locked MTU already.
pub fn lock_mtu(netns: &Netns, destination: IpAddr, mtu: u32) -> Result<()> {
    let to = destination.to_string();
    let text = netns.ip_output(&["-j", "route", "get", &to])?;
    let routes: Value = serde_json::from_str(&text).context("ip's JSON")?;
    let device = routes[0]["dev"]
        .as_str()
        .with_context(|| format!("the route to {to} has no device"))?;
    let via = routes[0]["gateway"]
        .as_str()
        .map(|gateway| format!("via {gateway} "))
        .unwrap_or_default();
    netns.ip(&format!(
        "route add {to} {via}dev {device} mtu lock {mtu}\n"
    ))
}

/// Makes the rate limits of ICMP and ICMPv6 bite on every type of message and from the first on.
///
/// The kernel heeds them for Packet Too Big. It never limits IPv4's "fragmentation needed", whatever
/// the mask says (`icmpv4_mask_allow`).
///
/// # Errors
///
/// The settings cannot be written.
pub fn limit_icmp(netns: &Netns) -> Result<()> {
    // Milliseconds for one message; the kernel credits a new peer with a minute.
    let interval = "100000000";
    netns.sysctl("ipv4/icmp_ratelimit", interval)?;
    // All of the types that the mask has a bit for: bit 3 is "destination unreachable".
    netns.sysctl("ipv4/icmp_ratemask", "2147483647")?;
    netns.sysctl("ipv6/icmp/ratelimit", interval)?;
    netns.sysctl("ipv6/icmp/ratemask", "0-255")
}

/// `IPPROTO_IPV6` of `linux/in.h`.
const IPPROTO_IPV6: c_int = 41;
/// `IPV6_DSTOPTS` of `linux/in6.h`.
const IPV6_DSTOPTS: c_int = 59;
/// An option of RFC 4727 for experiments, which a receiver that does not know it ignores.
const EXPERIMENT: u8 = 0x1e;

unsafe extern "C" {
    fn setsockopt(
        socket: c_int,
        level: c_int,
        name: c_int,
        value: *const c_void,
        length: u32,
    ) -> c_int;
}

/// Makes every packet that `socket` sends from now on carry `bytes` of IPv6 destination options.
///
/// The segments of a client's socket become smaller by so much. Those of a connection that was
/// accepted do not (`ipv6_update_options`), so that it cannot send a full-size segment any more: give
/// them to the listening socket, which hands them on.
///
/// # Errors
///
/// `bytes` is no multiple of 8 or not within 8 to 256, the socket is not IPv6, or not root.
pub fn add_destination_options(socket: impl AsFd, bytes: usize) -> Result<()> {
    ensure!(
        bytes.is_multiple_of(8) && (8..=256).contains(&bytes),
        "destination options of {bytes} bytes"
    );
    let mut options = vec![0; bytes];
    // The kernel fills in the next header; the length is in units of 8 bytes after the first.
    options[1] = u8::try_from(bytes / 8 - 1).context("too many options")?;
    options[2] = EXPERIMENT;
    options[3] = u8::try_from(bytes - 4).context("too many options")?;
    let length = u32::try_from(options.len()).context("too many options")?;
    // SAFETY: the descriptor is open while it is borrowed, and the value is `length` bytes that the
    // kernel reads and copies before it returns.
    let status = unsafe {
        setsockopt(
            socket.as_fd().as_raw_fd(),
            IPPROTO_IPV6,
            IPV6_DSTOPTS,
            options.as_ptr().cast(),
            length,
        )
    };
    ensure!(
        status == 0,
        "setting IPV6_DSTOPTS: {}",
        io::Error::last_os_error()
    );
    Ok(())
}
