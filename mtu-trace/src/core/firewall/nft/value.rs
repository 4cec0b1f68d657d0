//! The right side of a comparison, and whether something is equal to it or among it.

use std::net::IpAddr;
use std::slice;

use ipnet::IpNet;
use serde_json::Value;

use crate::core::firewall::logic::{Truth, and, any};
use crate::core::firewall::nft::operand::{Operand, single};
use crate::core::firewall::packet::{protocol_number, state_bit, tcp_flag};
use crate::core::firewall::table::FirewallTable;

pub const IPV4: u64 = 2;
pub const IPV6: u64 = 10;

/// By which names `nft` prints a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    None,
    Protocol,
    Family,
    EtherType,
    State,
    TcpFlags,
    IcmpType,
    IcmpCode,
    Icmpv6Type,
    Icmpv6Code,
}

impl Names {
    /// The number that a name stands for, or that is written out.
    pub fn named(self, name: &str) -> Option<u64> {
        let table: &[(&str, u64)] = match self {
            Self::None => &[],
            Self::Protocol => return protocol_number(name),
            Self::State => return state_bit(name),
            Self::TcpFlags => return tcp_flag(name),
            Self::Family => &[("ipv4", IPV4), ("ipv6", IPV6)],
            Self::EtherType => &[
                ("ip", 0x0800),
                ("arp", 0x0806),
                ("ip6", 0x86dd),
                ("vlan", 0x8100),
            ],
            Self::IcmpType => &[
                ("echo-reply", 0),
                ("destination-unreachable", 3),
                ("source-quench", 4),
                ("redirect", 5),
                ("echo-request", 8),
                ("router-advertisement", 9),
                ("router-solicitation", 10),
                ("time-exceeded", 11),
                ("parameter-problem", 12),
                ("timestamp-request", 13),
                ("timestamp-reply", 14),
                ("info-request", 15),
                ("info-reply", 16),
                ("address-mask-request", 17),
                ("address-mask-reply", 18),
            ],
            Self::IcmpCode => &[
                ("net-unreachable", 0),
                ("host-unreachable", 1),
                ("prot-unreachable", 2),
                ("port-unreachable", 3),
                ("frag-needed", 4),
                ("net-prohibited", 9),
                ("host-prohibited", 10),
                ("admin-prohibited", 13),
            ],
            Self::Icmpv6Type => &[
                ("destination-unreachable", 1),
                ("packet-too-big", 2),
                ("time-exceeded", 3),
                ("parameter-problem", 4),
                ("echo-request", 128),
                ("echo-reply", 129),
                ("mld-listener-query", 130),
                ("mld-listener-report", 131),
                ("mld-listener-done", 132),
                ("mld-listener-reduction", 132),
                ("nd-router-solicit", 133),
                ("nd-router-advert", 134),
                ("nd-neighbor-solicit", 135),
                ("nd-neighbor-advert", 136),
                ("nd-redirect", 137),
                ("router-renumbering", 138),
                ("ind-neighbor-solicit", 141),
                ("ind-neighbor-advert", 142),
                ("mld2-listener-report", 143),
            ],
            Self::Icmpv6Code => &[
                ("no-route", 0),
                ("admin-prohibited", 1),
                ("addr-unreachable", 3),
                ("port-unreachable", 4),
                ("policy-fail", 5),
                ("reject-route", 6),
            ],
        };
        let found = table.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| name.parse().ok(), |&(_, number)| Some(number))
    }

    /// A number, a name, or several flags together, as `["syn", "rst"]` or `{"|": […]}`; the parser
    /// bounds how deep they nest.
    pub fn number(self, value: &Value) -> Option<u64> {
        let flags = match value {
            Value::Number(number) => return number.as_u64(),
            Value::Bool(bool) => return Some((*bool).into()),
            Value::String(name) => return self.named(name),
            Value::Array(flags) => flags,
            _ => match single(value)? {
                ("|", Value::Array(flags)) => flags,
                _ => return None,
            },
        };
        let mut flags = flags.iter().map(|flag| self.number(flag));
        flags.try_fold(0, |bits, flag| Some(bits | flag?))
    }
}

/// The name of a set that is not listed in place.
pub fn set_name(list: &Value) -> Option<&str> {
    list.as_str()?.strip_prefix('@')
}

/// The elements of a set or map; `None` for what is none, and for one with an unknown name.
pub fn elements<'v>(list: &'v Value, table: &'v FirewallTable) -> Option<&'v [Value]> {
    if let Some(name) = set_name(list) {
        return table.sets.get(name).map(Vec::as_slice);
    }
    match single(list)? {
        ("set", Value::Array(elements)) => Some(elements),
        ("set", element) => Some(slice::from_ref(element)),
        _ => None,
    }
}

/// Whether something is equal to a value, in its range, or an element of its set.
pub fn equals(left: &Operand<'_>, right: &Value, table: &FirewallTable) -> Truth {
    match elements(right, table) {
        Some(elements) => any(elements.iter().map(|element| is_element(left, element))),
        None if set_name(right).is_some() => None,
        None => is_element(left, right),
    }
}

/// Whether something is one element of a set.
pub fn is_element(left: &Operand<'_>, element: &Value) -> Truth {
    match (single(element), left) {
        // Everything is.
        _ if element.as_str() == Some("*") => Some(true),
        (Some(("elem", inner)), _) => {
            let plain = ["val", "timeout", "expires", "comment", "counter"];
            // An element with a rate is one only within that.
            let all = inner.as_object()?;
            let sure = all.keys().all(|key| plain.contains(&key.as_str()));
            and(is_element(left, &inner["val"]), sure.then_some(true))
        }
        (_, Operand::Absent) => Some(false),
        (_, Operand::Unknown) => None,
        (Some(("range", ends)), _) => {
            let [first, last] = ends.as_array()?.as_slice() else {
                return None;
            };
            match left {
                Operand::Number(bits, names) => {
                    let range = names.number(first)?..=names.number(last)?;
                    Some(range.contains(&bits.exact()?))
                }
                Operand::Address(address) => Some((parse(first)?..=parse(last)?).contains(address)),
                _ => None,
            }
        }
        (Some(("prefix", prefix)), Operand::Address(address)) => {
            let length = u8::try_from(prefix["len"].as_u64()?).ok()?;
            let network = IpNet::new(parse(&prefix["addr"])?, length).ok()?;
            Some(network.contains(address))
        }
        (_, Operand::Number(bits, names)) => bits.equals(names.number(element)?),
        (_, Operand::Address(address)) => Some(*address == parse(element)?),
        (_, Operand::Device(name)) => Some(is_device(name, element.as_str()?)),
        (Some(("concat", others)), Operand::Several(parts)) => {
            let others = others
                .as_array()
                .filter(|others| others.len() == parts.len())?;
            let pairs = parts.iter().zip(others);
            let equal = pairs.map(|(part, other)| is_element(part, other));
            equal.fold(Some(true), and)
        }
        (_, Operand::Several(_)) => None,
    }
}

/// Whether a device's name is one that a rule names, `eth*` for all that begin so.
fn is_device(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        // A star that belongs to the name is written `\*`.
        Some(start) if start.ends_with('\\') => name.strip_suffix('*') == start.strip_suffix('\\'),
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn parse(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}
