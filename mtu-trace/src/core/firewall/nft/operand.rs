//! The left side of a comparison: what of the packet is looked at.

use std::net::IpAddr;

use serde_json::Value;

use crate::core::firewall::logic::Bits;
use crate::core::firewall::names::{IPV4, IPV6, Names, UDP};
use crate::core::firewall::nft::value;
use crate::core::firewall::packet::{Facts, HookFamily, masked};

/// What a comparison looks at.
#[derive(Debug, Clone)]
pub enum Operand<'a> {
    /// A number, and what its values are called.
    Number(Bits, Names),
    Address(IpAddr),
    /// A device's name. Kernels differ in whether a rule compares with nothing where there is none or
    /// does not apply at all; either way an empty name is not equal to any.
    Device(&'a str),
    /// Not in this packet, so that the rule does not apply, whatever it compares.
    Absent,
    Several(Vec<Self>),
    Unknown,
}

/// What an expression stands for in a packet.
pub fn operand<'a>(expression: &Value, facts: &Facts<'a>) -> Operand<'a> {
    known(expression, facts).unwrap_or(Operand::Unknown)
}

fn known<'a>(expression: &Value, facts: &Facts<'a>) -> Option<Operand<'a>> {
    let (kind, inner) = single(expression)?;
    let field = text(inner, "field");
    Some(match (kind, text(inner, "key")) {
        ("payload", _) => return payload(text(inner, "protocol"), field, facts),
        ("meta", key) => return meta(key, facts),
        ("ct", "state") => Operand::Number(facts.state, Names::State),
        // Of the options only those of a SYN that is thought of are known.
        ("tcp option", _) if facts.seen().is_some() => {
            return facts.tcp_flags().is_none().then_some(Operand::Absent);
        }
        ("tcp option", _) => match facts.mss() {
            None => Operand::Absent,
            Some(_) if text(inner, "name") != "maxseg" => return None,
            // Whether there is one.
            Some(_) if inner.get("field").is_none() => number(1, Names::None),
            Some(mss) => number(mss, Names::None),
        },
        ("&", _) => {
            let [left, mask] = inner.as_array()?.as_slice() else {
                return None;
            };
            match operand(left, facts) {
                Operand::Absent => Operand::Absent,
                Operand::Number(bits, names) => {
                    Operand::Number(bits.mask(value::number(mask, names)?), names)
                }
                Operand::Address(address) => {
                    Operand::Address(masked(address, mask.as_str()?.parse().ok()?)?)
                }
                _ => return None,
            }
        }
        ("concat", _) => {
            let parts = inner.as_array()?.iter();
            Operand::Several(parts.map(|part| operand(part, facts)).collect())
        }
        _ => return None,
    })
}

fn payload<'a>(protocol: &str, field: &str, facts: &Facts<'a>) -> Option<Operand<'a>> {
    let icmp = |v6, types, codes| match (facts.icmp(v6), field) {
        // An identifier and a sequence number are of other types of message.
        (None, _) | (Some(_), "id" | "sequence") => Some(Operand::Absent),
        (Some((kind, _)), "type") => Some(number(kind, types)),
        (Some((_, code)), "code") => Some(number(code, codes)),
        (Some(_), _) => None,
    };
    Some(match (protocol, field) {
        ("ip", _) if facts.v6 => Operand::Absent,
        ("ip6", _) if !facts.v6 => Operand::Absent,
        ("ip" | "ip6", "saddr") => Operand::Address(facts.packet.source),
        ("ip" | "ip6", "daddr") => Operand::Address(facts.packet.destination),
        ("ip" | "ip6", "protocol" | "nexthdr") => number(facts.protocol(), Names::Protocol),
        ("ip" | "ip6", "version") => number(if facts.v6 { 6 } else { 4 }, Names::None),
        ("ip" | "ip6", "frag-off") => {
            // Not a fragment; the bit above may be set.
            let (value, known) = (0, !0x4000);
            Operand::Number(Bits { value, known }, Names::None)
        }
        ("icmp", _) => return icmp(false, Names::IcmpType, Names::IcmpCode),
        ("icmpv6", _) => return icmp(true, Names::Icmpv6Type, Names::Icmpv6Code),
        ("ip" | "ip6", "ttl" | "hoplimit") => number(facts.seen()?.ttl?.into(), Names::None),
        ("ip", "length") => number(facts.seen()?.length_bytes.into(), Names::None),
        ("tcp", _) if facts.tcp_flags().is_none() => Operand::Absent,
        ("tcp", "flags") => Operand::Number(facts.tcp_flags()?, Names::TcpFlags),
        ("udp", _) if facts.protocol() == UDP => return port(field, facts),
        ("tcp" | "th", _) => return port(field, facts),
        ("udp" | "udplite" | "sctp" | "dccp" | "ah" | "esp" | "comp" | "igmp" | "gre", _) => {
            Operand::Absent
        }
        _ => return None,
    })
}

/// A port of a packet that was seen.
fn port<'a>(field: &str, facts: &Facts<'_>) -> Option<Operand<'a>> {
    let (source, destination) = facts.seen()?.ports?;
    Some(match field {
        "sport" => number(source.into(), Names::None),
        "dport" => number(destination.into(), Names::None),
        _ => return None,
    })
}

fn meta<'a>(key: &str, facts: &Facts<'a>) -> Option<Operand<'a>> {
    Some(match key {
        "l4proto" => number(facts.protocol(), Names::Protocol),
        "nfproto" => number(if facts.v6 { IPV6 } else { IPV4 }, Names::Family),
        "protocol" => number(if facts.v6 { 0x86dd } else { 0x0800 }, Names::EtherType),
        "length" if facts.hook.family() == HookFamily::Ip => {
            number(facts.seen()?.length_bytes.into(), Names::None)
        }
        "iifname" | "iif" => Operand::Device(facts.iif()?),
        "oifname" | "oif" => Operand::Device(facts.oif()?),
        _ => return None,
    })
}

fn number(value: u64, names: Names) -> Operand<'static> {
    Operand::Number(Bits::of(value), names)
}

/// The only key of an object and its value.
pub fn single(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object()?;
    let (key, inner) = object.iter().next()?;
    (object.len() == 1).then_some((key.as_str(), inner))
}

pub fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
