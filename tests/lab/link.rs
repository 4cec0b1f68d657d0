//! Links: veth pairs, and the MTUs and offloads of interfaces.

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

impl<'a> End<'a> {
    /// An end in `netns`.
    #[must_use]
    pub const fn new(netns: &'a Netns, name: &'a str, mtu: u32) -> Self {
        Self { netns, name, mtu }
    }
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
    set_features(netns, name, &["tso", "gso", "gro"], on)
}

/// Switches only the segmentation offloads of an interface on or off: whether its own host hands it
/// packets of many segments.
///
/// # Errors
///
/// ethtool refuses.
pub fn set_segmentation(netns: &Netns, name: &str, on: bool) -> Result<()> {
    set_features(netns, name, &["tso", "gso"], on)
}

/// Switches only the receive offload of an interface on or off: whether segments that come in one by
/// one are put together before anything sees them.
///
/// # Errors
///
/// ethtool refuses.
pub fn set_merging(netns: &Netns, name: &str, on: bool) -> Result<()> {
    set_features(netns, name, &["gro"], on)
}

/// Makes the VLANs on an interface write their tags into the frames, as they do on hardware that
/// cannot do it for them.
///
/// # Errors
///
/// ethtool refuses.
pub fn write_tags(netns: &Netns, name: &str) -> Result<()> {
    set_features(netns, name, &["txvlan"], false)
}

fn set_features(netns: &Netns, name: &str, features: &[&str], on: bool) -> Result<()> {
    let state = if on { "on" } else { "off" };
    let mut arguments = vec!["-K", name];
    arguments.extend(features.iter().flat_map(|feature| [feature, state]));
    netns.run(|| command::run("ethtool", &arguments)).map(drop)
}
