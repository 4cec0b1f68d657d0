//! The filter expression: what it can ask, and how it is answered.
//!
//! An expression is kept in postfix order, so that neither asking nor dropping a long one needs more
//! of the stack than a short one.

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::core::select::matching::Subject;
use crate::model::event::{Flow, TCP, UDP};

/// The IP protocol number of ICMP.
const ICMP: u8 = 1;
/// The IP protocol number of ICMPv6.
const ICMP6: u8 = 58;

/// A filter expression that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(pub(crate) Vec<PostfixItem>);

/// An operand or operator of an expression in postfix order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostfixItem {
    Primitive(Primitive),
    Not,
    And,
    Or,
}

/// A question about one packet header, which `pcap-filter(7)` calls a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Primitive {
    pub protocol: Option<ProtocolQualifier>,
    pub direction: Option<DirectionQualifier>,
    pub wanted: Option<EndMatch>,
}

/// Asks what carries the packet, or is carried in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtocolQualifier {
    Ip,
    Ip6,
    Tcp,
    Udp,
    Icmp,
    Icmp6,
}

/// Asks about one end of the flow; without it, either end may fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectionQualifier {
    Source,
    Destination,
}

/// Asks what address or port one end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndMatch {
    /// A network; one address is the network of nothing else.
    Net(IpNet),
    /// The first and the last port of a range.
    Ports(u16, u16),
}

impl Filter {
    /// Whether it is true of a connection or an event. A question is true of it if it is of any of
    /// its tuples, so `not` excludes whatever has such a tuple anywhere.
    pub(crate) fn holds(&self, of: &Subject) -> bool {
        let mut answers = Vec::new();
        for step in &self.0 {
            match step {
                PostfixItem::Primitive(test) => answers.push(test.holds(of)),
                PostfixItem::Not => {
                    if let Some(last) = answers.last_mut() {
                        *last = !*last;
                    }
                }
                PostfixItem::And | PostfixItem::Or => {
                    if let (Some(second), Some(first)) = (answers.pop(), answers.last_mut()) {
                        *first = match step {
                            PostfixItem::And => *first && second,
                            _ => *first || second,
                        };
                    }
                }
            }
        }
        answers.pop().unwrap_or(false)
    }
}

impl Primitive {
    fn holds(&self, of: &Subject) -> bool {
        // A message about a connection is one of its packets, between other ends.
        let told = |flow: &Flow, ipv4| of.icmp && is_ipv4(flow) == ipv4;
        of.tuples.iter().any(|flow| {
            let carried = |protocol| flow.protocol == protocol;
            let carries = match self.protocol {
                None => true,
                Some(ProtocolQualifier::Ip) => is_ipv4(flow),
                Some(ProtocolQualifier::Ip6) => !is_ipv4(flow),
                Some(ProtocolQualifier::Tcp) => carried(TCP),
                Some(ProtocolQualifier::Udp) => carried(UDP),
                Some(ProtocolQualifier::Icmp) => carried(ICMP) || told(flow, true),
                Some(ProtocolQualifier::Icmp6) => carried(ICMP6) || told(flow, false),
            };
            carries && self.wanted.is_none_or(|wanted| self.has(flow, wanted))
        })
    }

    fn has(&self, flow: &Flow, wanted: EndMatch) -> bool {
        match self.direction {
            Some(DirectionQualifier::Source) => wanted.is(flow.source),
            Some(DirectionQualifier::Destination) => wanted.is(flow.destination),
            None => wanted.is(flow.source) || wanted.is(flow.destination),
        }
    }
}

impl EndMatch {
    fn is(self, end: SocketAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&end.ip().to_canonical()),
            Self::Ports(first, last) => (first..=last).contains(&end.port()),
        }
    }
}

/// Whether the packets are IPv4: those of an IPv6 socket are too, if its addresses are mapped ones
/// (RFC 4291, section 2.5.5.2).
fn is_ipv4(flow: &Flow) -> bool {
    flow.destination.ip().to_canonical().is_ipv4()
}
