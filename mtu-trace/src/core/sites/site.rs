//! What a row of the table of sites holds.

use std::fmt;
use std::ptr;

use crate::core::sites::SITES;
use crate::model::event::Packet;
use crate::model::network::{Link, Topology, Tunnel};

/// The smallest MTU an IPv6 link may have, bytes (RFC 8200, section 5).
pub const IPV6_MIN_MTU_BYTES: u32 = 1280;
/// What layer 2 lets through beyond the MTU, bytes: a VLAN tag (`VLAN_HLEN` of `is_skb_forwardable`).
pub const VLAN_HLEN_BYTES: u32 = 4;

/// Whether a packet that died in a function of several sites died at one of them.
pub type IsHere = fn(&Packet, &Topology) -> bool;

/// A place in the kernel that compares a packet's length with a limit: what `check` expects on a way
/// and what a live trace knows a drop by.
pub struct Site {
    /// Its name, which no other site has.
    pub name: &'static str,
    /// The functions in which packets die there, those first that are named where none was seen.
    pub functions: &'static [Function],
    /// Functions that are other sites' too, and what tells that a packet died at this one.
    pub shared: Option<(&'static [Function], IsHere)>,
    /// What the length is compared with.
    pub limit: Limit,
    /// How many bytes longer than its limit a packet may be and still pass.
    pub slack_bytes: u32,
    /// What it does with packets that are still to be cut by a device (GSO).
    pub gso: Gso,
    /// Who learns that a packet has died.
    pub tells: Tells,
    /// The drop reason of kernels that give one.
    pub reason: &'static str,
    /// Whether a packet that makes this crossing is measured here.
    pub expected: fn(&Crossing<'_>) -> bool,
    /// What can be done at the site itself.
    pub remedy: Remedy,
}

/// A kernel function by all its names, without the suffixes of compilers (`.constprop`, `.isra`).
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The names, that of the newest kernel first.
    pub names: &'static [&'static str],
    family: PacketFamily,
}

/// The packets that a function looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFamily {
    /// Packets of both, or frames.
    Any,
    Ipv4,
    Ipv6,
}

impl Function {
    /// A function that does not look at what a frame carries.
    pub const fn any(names: &'static [&'static str]) -> Self {
        let family = PacketFamily::Any;
        Self { names, family }
    }

    pub const fn ipv4(names: &'static [&'static str]) -> Self {
        let family = PacketFamily::Ipv4;
        Self { names, family }
    }

    pub const fn ipv6(names: &'static [&'static str]) -> Self {
        let family = PacketFamily::Ipv6;
        Self { names, family }
    }
}

/// What a length is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The MTU of the packet's route, else of the device that leads to; of IPv6 at least 1280.
    Route,
    /// The MTU of the device that a packet leaves by.
    Egress,
    /// The MTU of the device that a packet is handed to.
    Peer,
    /// The MTU of the route of a tunnel's packets, less what the tunnel adds.
    TunnelRoute,
    /// The MTU of the port that a packet leaves a switch by, where its buffer does not tell which.
    OtherPort,
    /// The MTU of the device on the same lower device that a packet is handed to.
    Sibling,
    /// What only the message to the sender tells.
    Told,
}

/// What a site does with a GSO packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gso {
    /// It lets it pass, whatever the length: what is dropped there dies of something else, such as a
    /// device that is down.
    Passes,
    /// It measures the packets that it will be cut into.
    Measured,
}

/// Who learns that a packet has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Its sender, by an ICMP message.
    Sender,
    /// Its sender, in the name of its receiver: the packet itself is made into the message.
    SenderForReceiver,
    /// The node that has wrapped it in another one, never the sender.
    Tunnel,
    /// Nobody learns of it.
    Nobody,
}

/// What can be done at the site itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A router there can lower the segment size that TCP announces.
    ClampSegments,
    /// The MTU that is the limit can be raised to that of the ends.
    RaiseMtu,
    /// Nothing that helps without more room behind it.
    Nothing,
}

/// A step on the way of a packet at which the kernel may measure it.
#[derive(Clone, Copy, Debug)]
pub enum Crossing<'a> {
    /// A namespace sends on what it has received.
    Router {
        /// Whether the packets may be cut there: they are those of a tunnel without DF.
        cuts: bool,
    },
    /// A router sends on what a route has put into a packet of its own.
    RouteWraps,
    /// A router sends what it has let pass by a route of IPv6 that has an MTU of its own, which is not
    /// locked.
    RouteMtu,
    /// Out of a bridge by one of its ports.
    BridgePort {
        /// Whether bridge netfilter takes part.
        netfilter: bool,
    },
    /// From a device into another one, without a wire between them.
    HandOver {
        /// The device that hands over.
        from: &'a Link,
    },
    /// Into a tunnel, as it is.
    Wrap(Wrapping<'a>),
    /// Out of a tunnel's node, in a packet of the tunnel.
    SendWrapped(Wrapping<'a>),
}

/// A packet and the tunnel that it goes into.
#[derive(Clone, Copy, Debug)]
pub struct Wrapping<'a> {
    /// The device that wraps.
    pub link: &'a Link,
    /// What that adds, and whether the result may be cut.
    pub tunnel: &'a Tunnel,
    /// Whether the packet is of IPv6.
    pub ipv6: bool,
    /// Whether the outer packet is of IPv6.
    pub outer_ipv6: bool,
}

impl Site {
    /// The site at which a packet dies that is dropped in a function: the first row that fits.
    pub fn of_drop(function: &str, packet: &Packet, topology: &Topology) -> Option<&'static Self> {
        let named =
            |functions: &[Function]| functions.iter().any(|of| of.names.contains(&function));
        SITES.iter().copied().find(|site| {
            named(site.functions)
                || site.shared.is_some_and(|(functions, is_here)| {
                    named(functions) && is_here(packet, topology)
                })
        })
    }

    /// The site that measures packets at a crossing; `None` where nothing does.
    pub fn at(crossing: &Crossing<'_>) -> Option<&'static Self> {
        SITES.iter().copied().find(|site| (site.expected)(crossing))
    }

    /// The number of its row in the table.
    pub fn row(&self) -> usize {
        let mut rows = SITES.iter();
        rows.position(|known| *known == self).unwrap_or(SITES.len())
    }

    /// Whether no sender learns of a packet that dies there.
    pub fn is_silent(&self) -> bool {
        matches!(self.tells, Tells::Tunnel | Tells::Nobody)
    }

    /// Whether frames are measured, whatever they carry.
    pub fn measures_frames(&self) -> bool {
        self.slack_bytes > 0
    }

    /// The function that drops packets of a family, by the name of a kernel that has such functions.
    pub fn function(&self, wanted: PacketFamily, exists: impl Fn(&str) -> bool) -> &'static str {
        let shared = self.shared.map_or(&[][..], |(functions, _)| functions);
        let mut functions = self.functions.iter().chain(shared);
        let names = functions
            .find(|function| function.family == PacketFamily::Any || function.family == wanted)
            .map_or(&[][..], |function| function.names);
        let found = names.iter().find(|name| exists(name)).or(names.first());
        found.copied().unwrap_or_default()
    }
}

/// All names of a function in which too-big packets die, that of the newest kernel first; none for
/// another function.
pub fn names(function: &str) -> &'static [&'static str] {
    let functions = SITES.iter().flat_map(|site| site.functions);
    let mut names = functions.map(|known| known.names);
    names
        .find(|names| names.contains(&function))
        .unwrap_or_default()
}

/// Whether a packet is being bridged: bridge netfilter sends bridged packets through the IP layer's
/// functions, with the egress port as their device.
pub fn is_bridged(packet: &Packet, topology: &Topology) -> bool {
    let device = &packet.device;
    let route = packet.route.as_ref();
    let link = topology.link(device.netns, device.ifindex);
    packet.has_device
        && route.is_none_or(|route| route.ifindex != device.ifindex)
        && link.is_some_and(|link| link.master.is_some())
}

/// Whether a packet carries another one and comes from its namespace itself.
pub fn is_made_here(packet: &Packet, topology: &Topology) -> bool {
    let source = packet.flow.source.ip();
    packet.inner.is_some() && topology.owner(packet.flow.netns, source).is_some()
}

/// Whether a packet is one that its namespace sends on, and that has come so far.
pub fn is_sent_on(packet: &Packet, _: &Topology) -> bool {
    let input = packet.route_input.as_deref();
    packet.came_in.is_some() && matches!(input, Some("ip_forward" | "ip6_forward"))
}

/// Whether a packet is one that a tunnel of its namespace has made of another one.
pub fn is_wrapped(packet: &Packet, _: &Topology) -> bool {
    let input = packet.route_input.as_deref();
    packet.overhead_bytes() > 0 && !matches!(input, Some("ip_forward" | "ip6_forward"))
}

impl PartialEq for Site {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Site {}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
