//! The right side of a comparison, and whether something is equal to it or among it.

use std::net::IpAddr;
use std::slice;

use ipnet::IpNet;
use serde_json::Value;

use crate::core::firewall::logic::{Truth, and, any};
use crate::core::firewall::names::Names;
use crate::core::firewall::nft::operand::{Operand, single};
use crate::core::firewall::table::FirewallTable;

/// A number, a name, or several flags together, as `["syn", "rst"]` or `{"|": […]}`; the parser bounds
/// how deep they nest.
pub fn number(value: &Value, names: Names) -> Option<u64> {
    let flags = match value {
        Value::Number(number) => return number.as_u64(),
        Value::Bool(bool) => return Some((*bool).into()),
        Value::String(name) => return names.number(name),
        Value::Array(flags) => flags,
        _ => match single(value)? {
            ("|", Value::Array(flags)) => flags,
            _ => return None,
        },
    };
    let mut flags = flags.iter().map(|flag| number(flag, names));
    flags.try_fold(0, |bits, flag| Some(bits | flag?))
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
                    let range = number(first, *names)?..=number(last, *names)?;
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
        (_, Operand::Number(bits, names)) => bits.equals(number(element, *names)?),
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
