//! The filter expression: what it can ask, and how it is answered.
//!
//! An expression is kept in postfix order, so that neither asking nor dropping a long one needs more
//! of the stack than a short one.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    core::select::{matching::Subject, parser, words::FilterError},
    model::event::{Flow, TCP, UDP},
};

/// ICMP's protocol number.
const ICMP: u8 = 1;
/// ICMPv6's protocol number.
const ICMP6: u8 = 58;

/// A filter expression that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// As it was written.
    text: String,
    steps: Vec<Step>,
}

/// One step of an expression in postfix order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ask(Test),
    Not,
    And,
    Or,
}

/// A question about one packet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub protocol: Option<Protocol>,
    pub direction: Option<Direction>,
    pub wanted: Option<Wanted>,
}

/// What carries the packet, or is carried in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Ip,
    Ip6,
    Tcp,
    Udp,
    Icmp,
    Icmp6,
}

/// Which end is meant; either if none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Source,
    Destination,
}

/// What one end must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Host(IpAddr),
    Net(Net),
    /// Both included.
    Ports(u16, u16),
}

/// An IP network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net {
    pub address: IpAddr,
    /// In bits.
    pub length: u8,
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// It is not of the language that `docs/filters.md` describes; the error tells where.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self {
            steps: parser::parse(text)?,
            text: text.to_owned(),
        })
    }

    /// Whether it is true of a connection or an event. A question is true of it if it is of any of
    /// its tuples, so `not` excludes whatever has such a tuple anywhere.
    pub(crate) fn holds(&self, of: &Subject) -> bool {
        let mut answers = Vec::new();
        for step in &self.steps {
            match step {
                Step::Ask(test) => answers.push(test.holds(of)),
                Step::Not => {
                    if let Some(last) = answers.last_mut() {
                        *last = !*last;
                    }
                }
                Step::And | Step::Or => {
                    if let (Some(second), Some(first)) = (answers.pop(), answers.last_mut()) {
                        *first = match step {
                            Step::And => *first && second,
                            _ => *first || second,
                        };
                    }
                }
            }
        }
        answers.pop().unwrap_or(false)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Test {
    fn holds(&self, of: &Subject) -> bool {
        // A message about a connection is one of its packets, between other ends.
        let told = |flow: &Flow, ipv4| of.icmp && is_ipv4(flow) == ipv4;
        of.tuples.iter().any(|flow| {
            let carried = |protocol| flow.protocol == protocol;
            let carries = match self.protocol {
                None => true,
                Some(Protocol::Ip) => is_ipv4(flow),
                Some(Protocol::Ip6) => !is_ipv4(flow),
                Some(Protocol::Tcp) => carried(TCP),
                Some(Protocol::Udp) => carried(UDP),
                Some(Protocol::Icmp) => carried(ICMP) || told(flow, true),
                Some(Protocol::Icmp6) => carried(ICMP6) || told(flow, false),
            };
            carries && self.wanted.is_none_or(|wanted| self.has(flow, wanted))
        })
    }

    fn has(&self, flow: &Flow, wanted: Wanted) -> bool {
        match self.direction {
            Some(Direction::Source) => wanted.is(flow.source),
            Some(Direction::Destination) => wanted.is(flow.destination),
            None => wanted.is(flow.source) || wanted.is(flow.destination),
        }
    }
}

impl Wanted {
    fn is(self, end: SocketAddr) -> bool {
        let address = end.ip().to_canonical();
        match self {
            Self::Host(host) => address == host,
            Self::Net(net) => net.contains(address),
            Self::Ports(first, last) => (first..=last).contains(&end.port()),
        }
    }
}

impl Net {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let differ = net.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let differ = net.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= u32::from(self.length)
            }
            _ => false,
        }
    }
}

/// Whether the packets are IPv4: those of an IPv6 socket are too, if its addresses are mapped ones
/// (RFC 4291, section 2.5.5.2).
fn is_ipv4(flow: &Flow) -> bool {
    flow.destination.ip().to_canonical().is_ipv4()
}
