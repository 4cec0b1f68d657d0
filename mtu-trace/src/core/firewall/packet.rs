//! The packet asked about, and what is known of it.

use std::net::IpAddr;

use crate::core::firewall::logic::Bits;
use crate::core::firewall::names::{ICMP, ICMPV6, NEW, RELATED, SYN, TCP};
use crate::core::firewall::seen::SeenPacket;
use crate::model::event::{Device, Packet};

macro_rules! hooks {
    ($($(#[$doc:meta])* $hook:ident = $name:literal, $chain:literal of $family:ident;)+) => {
        /// Where netfilter looks at a packet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum NetfilterHook { $($(#[$doc])* $hook,)+ }

        impl NetfilterHook {
            /// What people are told: the name of iptables' chain, `PREROUTING`, with the family before
            /// it where that is not IP.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$hook => $name,)+ }
            }

            /// The hook of a name that people are told; `None` if there is none.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$hook),)+ _ => None }
            }

            /// What rules call it.
            pub(crate) fn chain(self) -> &'static str {
                match self { $(Self::$hook => $chain,)+ }
            }

            /// Whose packets it sees.
            pub(crate) fn family(self) -> HookFamily {
                match self { $(Self::$hook => HookFamily::$family,)+ }
            }
        }
    };
}

/// Whose packets a hook sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookFamily {
    /// Those that are routed.
    Ip,
    /// The frames of bridges.
    Bridge,
    /// The frames of one device.
    Netdev,
}

hooks! {
    /// When it arrives, before routing.
    Prerouting = "PREROUTING", "prerouting" of Ip;
    /// On the way to a socket.
    Input = "INPUT", "input" of Ip;
    /// On the way through.
    Forward = "FORWARD", "forward" of Ip;
    /// When a local socket sends it.
    Output = "OUTPUT", "output" of Ip;
    /// When it leaves, after routing.
    Postrouting = "POSTROUTING", "postrouting" of Ip;
    /// When a port of a bridge takes it in.
    BridgePrerouting = "bridge PREROUTING", "prerouting" of Bridge;
    /// When a bridge takes it up for its own host.
    BridgeInput = "bridge INPUT", "input" of Bridge;
    /// On the way from one port of a bridge to another.
    BridgeForward = "bridge FORWARD", "forward" of Bridge;
    /// When a bridge sends what its own host has made.
    BridgeOutput = "bridge OUTPUT", "output" of Bridge;
    /// When it leaves by a port of a bridge.
    BridgePostrouting = "bridge POSTROUTING", "postrouting" of Bridge;
    /// When a device has received it.
    Ingress = "ingress", "ingress" of Netdev;
    /// When a device is about to send it.
    Egress = "egress", "egress" of Netdev;
}

/// What kind of packet it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The message that a packet was too big: ICMP type 3 code 4, or ICMPv6 type 2. It belongs to a
    /// connection that is open, so connection tracking calls it related.
    PacketTooBig,
    /// The first packet of a TCP connection.
    Syn,
    /// One that was seen.
    Seen(SeenPacket),
}

/// The packet asked about. Its addresses tell the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueriedPacket {
    /// Where it is looked at.
    pub hook: NetfilterHook,
    /// The kind of packet it is.
    pub kind: Kind,
    /// The address it comes from.
    pub source: IpAddr,
    /// The address it goes to.
    pub destination: IpAddr,
    /// The device it came in by, if there is one and it is known.
    pub iif: Option<String>,
    /// The device it goes out by, likewise.
    pub oif: Option<String>,
}

impl QueriedPacket {
    /// A packet that was seen at a hook.
    #[must_use]
    pub fn seen(packet: &Packet, hook: NetfilterHook) -> Self {
        let name = |device: &Option<Device>| Some(device.as_ref()?.name.as_ref()?.to_string());
        let device = Some(packet.device.clone());
        let (iif, oif) = match hook {
            NetfilterHook::Prerouting | NetfilterHook::Input => (name(&device), None),
            NetfilterHook::Forward => (name(&device), name(&packet.route)),
            NetfilterHook::Output | NetfilterHook::Postrouting => (None, name(&packet.route)),
            NetfilterHook::Ingress | NetfilterHook::BridgePrerouting => (name(&device), None),
            NetfilterHook::BridgeInput => (name(&packet.came_in), None),
            NetfilterHook::BridgeForward => (name(&packet.came_in), name(&device)),
            NetfilterHook::BridgeOutput | NetfilterHook::BridgePostrouting => (None, name(&device)),
            NetfilterHook::Egress => (None, name(&device)),
        };
        Self {
            hook,
            kind: Kind::Seen(SeenPacket::of(packet)),
            source: packet.flow.source.ip(),
            destination: packet.flow.destination.ip(),
            iif,
            oif,
        }
    }
}

/// What rules can ask of a packet. The fields of a protocol it is not of are absent.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub packet: &'a QueriedPacket,
    pub hook: NetfilterHook,
    pub v6: bool,
    /// The state that connection tracking has it in.
    pub state: Bits,
}

impl<'a> Facts<'a> {
    pub fn new(packet: &'a QueriedPacket) -> Self {
        Self {
            packet,
            hook: packet.hook,
            v6: packet.destination.is_ipv6(),
            state: match packet.kind {
                Kind::PacketTooBig => Bits::of(RELATED),
                Kind::Syn => Bits::of(NEW),
                Kind::Seen(seen) => seen.state(),
            },
        }
    }

    pub fn is_syn(&self) -> bool {
        self.packet.kind == Kind::Syn
    }

    /// The protocol above IP.
    pub fn protocol(&self) -> u64 {
        match (self.packet.kind, self.v6) {
            (Kind::Syn, _) => TCP,
            (Kind::PacketTooBig, false) => ICMP,
            (Kind::PacketTooBig, true) => ICMPV6,
            (Kind::Seen(seen), _) => seen.protocol,
        }
    }

    /// Type and code, if the packet is of ICMP or, with `v6`, of ICMPv6.
    pub fn icmp(&self, v6: bool) -> Option<(u64, u64)> {
        match (self.packet.kind, self.v6, v6) {
            (Kind::PacketTooBig, false, false) => Some((3, 4)),
            (Kind::PacketTooBig, true, true) => Some((2, 0)),
            (Kind::Seen(seen), packet_v6, v6) if packet_v6 == v6 => {
                let (kind, code) = seen.icmp?;
                Some((kind.into(), code.into()))
            }
            _ => None,
        }
    }

    /// What was seen of the packet; `None` of one that is only thought of.
    pub fn seen(&self) -> Option<SeenPacket> {
        match self.packet.kind {
            Kind::Seen(seen) => Some(seen),
            Kind::PacketTooBig | Kind::Syn => None,
        }
    }

    /// The flags of its TCP header; `None` if it has none.
    pub fn tcp_flags(&self) -> Option<Bits> {
        let told = |flags: Option<u8>| flags.map_or(Bits::UNKNOWN, |flags| Bits::of(flags.into()));
        match self.seen() {
            Some(seen) => (seen.protocol == TCP).then(|| told(seen.tcp_flags)),
            None => self.is_syn().then_some(Bits::of(SYN)),
        }
    }

    /// The segment size announced, for an Ethernet of 1500 bytes: what a clamp is there for.
    pub fn mss(&self) -> Option<u64> {
        self.is_syn().then_some(if self.v6 { 1440 } else { 1460 })
    }

    /// The device it came in by, empty if there is none at this hook; `None` if it is not known.
    pub fn iif(&self) -> Option<&'a str> {
        let never = self.hook == NetfilterHook::Output;
        if never {
            Some("")
        } else {
            self.packet.iif.as_deref()
        }
    }

    /// The device it goes out by, likewise.
    pub fn oif(&self) -> Option<&'a str> {
        let never = matches!(self.hook, NetfilterHook::Prerouting | NetfilterHook::Input);
        if never {
            Some("")
        } else {
            self.packet.oif.as_deref()
        }
    }
}

/// An address without its bits outside of a mask; `None` if that is of the other family.
pub fn masked(address: IpAddr, mask: IpAddr) -> Option<IpAddr> {
    match (address, mask) {
        (IpAddr::V4(address), IpAddr::V4(mask)) => Some(IpAddr::V4(address & mask)),
        (IpAddr::V6(address), IpAddr::V6(mask)) => Some(IpAddr::V6(address & mask)),
        _ => None,
    }
}
