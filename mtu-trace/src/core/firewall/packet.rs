//! The packet asked about, and what is known of it.

use std::net::IpAddr;

use crate::core::firewall::logic::Bits;
use crate::core::firewall::names::{ICMP, ICMPV6, NEW, RELATED, SYN, TCP};

/// Where netfilter looks at a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetfilterHook {
    /// When it arrives, before routing.
    Prerouting,
    /// On the way to a socket.
    Input,
    /// On the way through.
    Forward,
    /// When a local socket sends it.
    Output,
    /// When it leaves, after routing.
    Postrouting,
}

impl NetfilterHook {
    /// The name of iptables' chain: `PREROUTING`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "PREROUTING",
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
            Self::Postrouting => "POSTROUTING",
        }
    }
}

/// What kind of packet it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The message that a packet was too big: ICMP type 3 code 4, or ICMPv6 type 2. It belongs to a
    /// connection that is open, so connection tracking calls it related.
    PacketTooBig,
    /// The first packet of a TCP connection.
    Syn,
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
            state: Bits::of(match packet.kind {
                Kind::PacketTooBig => RELATED,
                Kind::Syn => NEW,
            }),
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
        }
    }

    /// Type and code, if the packet is of ICMP or, with `v6`, of ICMPv6.
    pub fn icmp(&self, v6: bool) -> Option<(u64, u64)> {
        match (self.is_syn(), self.v6, v6) {
            (false, false, false) => Some((3, 4)),
            (false, true, true) => Some((2, 0)),
            _ => None,
        }
    }

    pub fn tcp_flags(&self) -> Option<Bits> {
        self.is_syn().then_some(Bits::of(SYN))
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
