//! The right side of a comparison, and whether something is equal to it or among it.

use std::net::IpAddr;

use serde_json::Value;

use crate::core::firewall::logic::Truth;
use crate::core::firewall::nft::operand::{Operand, single};
use crate::core::firewall::nft::ruleset::NftTable;
use crate::core::firewall::packet::{protocol_number, state_bit, tcp_flag};

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
    fn number(self, name: &str) -> Option<u64> {
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
        found
            .map(|&(_, number)| number)
            .or_else(|| name.parse().ok())
    }
}

/// A number, a name, or several flags together, as `["syn", "rst"]` or `{"|": […]}`.
pub fn number(value: &Value, names: Names) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::Bool(bool) => Some((*bool).into()),
        Value::String(name) => names.number(name),
        Value::Array(flags) => flags.iter().try_fold(0, |bits, flag| {
            // Flags do not nest in a list.
            let flag = match flag {
                Value::String(name) => names.number(name)?,
                Value::Number(number) => number.as_u64()?,
                _ => return None,
            };
            Some(bits | flag)
        }),
        Value::Object(_) => match single(value)? {
            // More than two flags nest; the parser bounds how deep.
            ("|", Value::Array(flags)) => flags
                .iter()
                .try_fold(0, |bits, flag| Some(bits | number(flag, names)?)),
            _ => None,
        },
        Value::Null => None,
    }
}

/// Whether something is equal to a value, in its range, or an element of its set.
pub fn equals(left: &Operand<'_>, right: &Value, table: &NftTable) -> Truth {
    if let Some(name) = right.as_str().and_then(|name| name.strip_prefix('@')) {
        return match table.sets.get(name) {
            Some(elements) => among(left, elements),
            None => Truth::Unknown,
        };
    }
    match single(right) {
        Some(("set", Value::Array(elements))) => among(left, elements),
        Some(("set", element)) => is_element(left, element),
        _ => is_element(left, right),
    }
}

fn among(left: &Operand<'_>, elements: &[Value]) -> Truth {
    Truth::any(elements.iter().map(|element| is_element(left, element)))
}

/// Whether something is one element of a set.
pub fn is_element(left: &Operand<'_>, element: &Value) -> Truth {
    // Everything is.
    if element.as_str() == Some("*") {
        return Truth::True;
    }
    match single(element) {
        Some(("elem", element)) => {
            let plain = |key: &String| {
                matches!(
                    key.as_str(),
                    "val" | "timeout" | "expires" | "comment" | "counter"
                )
            };
            // An element with a rate is one only within that.
            let sure = element.as_object().is_some_and(|all| all.keys().all(plain));
            let within = is_element(left, &element["val"]);
            return if sure {
                within
            } else {
                within.and(Truth::Unknown)
            };
        }
        Some(("range", Value::Array(ends))) => {
            return match ends.as_slice() {
                [first, last] => in_range(left, first, last),
                _ => Truth::Unknown,
            };
        }
        Some(("prefix", prefix)) => return in_prefix(left, prefix),
        _ => {}
    }
    match left {
        Operand::Absent => Truth::False,
        Operand::Unknown => Truth::Unknown,
        Operand::Number(bits, names) => {
            number(element, *names).map_or(Truth::Unknown, |number| bits.equals(number))
        }
        Operand::Address(address) => match element.as_str().map(str::parse::<IpAddr>) {
            Some(Ok(other)) => (*address == other).into(),
            _ => Truth::Unknown,
        },
        Operand::Device(name) => match element.as_str() {
            Some(other) => is_device(name, other).into(),
            None => Truth::Unknown,
        },
        Operand::Several(parts) => match single(element) {
            Some(("concat", Value::Array(others))) if others.len() == parts.len() => parts
                .iter()
                .zip(others)
                .map(|(part, other)| is_element(part, other))
                .fold(Truth::True, Truth::and),
            _ => Truth::Unknown,
        },
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

fn in_range(left: &Operand<'_>, first: &Value, last: &Value) -> Truth {
    match left {
        Operand::Absent => Truth::False,
        Operand::Number(bits, names) => match (number(first, *names), number(last, *names)) {
            (Some(first), Some(last)) => bits.test(|value| (first..=last).contains(&value)),
            _ => Truth::Unknown,
        },
        Operand::Address(address) => match (parse(first), parse(last)) {
            (Some(first), Some(last)) => (first <= *address && *address <= last).into(),
            _ => Truth::Unknown,
        },
        Operand::Device(_) | Operand::Several(_) | Operand::Unknown => Truth::Unknown,
    }
}

fn in_prefix(left: &Operand<'_>, prefix: &Value) -> Truth {
    match left {
        Operand::Absent => Truth::False,
        Operand::Address(address) => match (parse(&prefix["addr"]), prefix["len"].as_u64()) {
            (Some(network), Some(length)) => within(*address, network, length),
            _ => Truth::Unknown,
        },
        _ => Truth::Unknown,
    }
}

/// Whether an address is of a network.
pub fn within(address: IpAddr, network: IpAddr, length: u64) -> Truth {
    let (address, network, bits): (u128, u128, u64) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (
            u128::from(address.to_bits()),
            u128::from(network.to_bits()),
            32,
        ),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return Truth::False,
    };
    match bits.checked_sub(length) {
        Some(host) => {
            // Of all bits, nothing is left to compare.
            let part = |bits: u128| {
                u32::try_from(host)
                    .ok()
                    .and_then(|host| bits.checked_shr(host))
            };
            (part(address) == part(network)).into()
        }
        None => Truth::Unknown,
    }
}

fn parse(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}
