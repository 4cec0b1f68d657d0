//! A packet that was seen at a hook, as far as rules ask for it.

use crate::core::firewall::logic::Bits;
use crate::core::firewall::names::{ICMP, ICMPV6, TCP, state_bit};
use crate::model::event::Packet;

/// The length of an IPv6 header without extensions, bytes (RFC 8200).
const IPV6_BYTES: usize = 40;

/// What is known of a packet that was seen; what is not is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeenPacket {
    /// The protocol above IP.
    pub protocol: u64,
    /// The ports it comes from and goes to.
    pub ports: Option<(u16, u16)>,
    /// The flags of its TCP header.
    pub tcp_flags: Option<u8>,
    /// Type and code of its ICMP header.
    pub icmp: Option<(u8, u8)>,
    /// How often it may be forwarded still.
    pub ttl: Option<u8>,
    /// Length of the whole buffer from the IP header on, bytes.
    pub length_bytes: u32,
    /// The bit of the state that connection tracking has it in.
    pub ct_state: Option<u64>,
}

impl SeenPacket {
    /// What the headers of a packet show.
    pub(crate) fn of(packet: &Packet) -> Self {
        let flow = &packet.flow;
        let protocol = u64::from(flow.protocol);
        let (source, destination) = (flow.source.port(), flow.destination.port());
        let head = packet.head.as_slice();
        let v6 = flow.source.is_ipv6();
        // Behind extension headers nothing is looked for.
        let (ttl, upper) = match (v6, head.first()) {
            (false, Some(first)) => (head.get(8), head.get(usize::from(first & 15) * 4..)),
            (true, Some(_)) => {
                let is_next = head.get(6) == Some(&flow.protocol);
                (head.get(7), head.get(IPV6_BYTES..).filter(|_| is_next))
            }
            (_, None) => (None, None),
        };
        let byte = |at: usize| upper.and_then(|upper| upper.get(at)).copied();
        Self {
            protocol,
            ports: (packet.icmp_error.is_none() && (source, destination) != (0, 0))
                .then_some((source, destination)),
            tcp_flags: byte(13).filter(|_| protocol == TCP),
            icmp: byte(0)
                .zip(byte(1))
                .filter(|_| protocol == ICMP || protocol == ICMPV6),
            ttl: ttl.copied(),
            length_bytes: packet.buffer_bytes,
            ct_state: packet.ct_state.as_deref().and_then(state_bit),
        }
    }

    /// The state of connection tracking as a rule compares it.
    pub(crate) fn state(&self) -> Bits {
        self.ct_state.map_or(Bits::UNKNOWN, Bits::of)
    }
}
