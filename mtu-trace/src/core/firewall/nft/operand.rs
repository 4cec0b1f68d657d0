//! The left side of a comparison: what of the packet is looked at.

use std::net::IpAddr;

use serde_json::Value;

use crate::core::firewall::logic::Bits;
use crate::core::firewall::nft::value;
use crate::core::firewall::nft::value::Names;
use crate::core::firewall::packet::{Facts, PacketDevice};

/// What a comparison looks at.
#[derive(Debug, Clone)]
pub enum Operand<'a> {
    /// A number, and what its values are called.
    Number(Bits, Names),
    Address(IpAddr),
    Device(&'a str),
    /// Not in this packet, so that the rule does not apply, whatever it compares.
    Absent,
    Several(Vec<Self>),
    Unknown,
}

/// What an expression stands for in a packet.
pub fn operand<'a>(expression: &Value, facts: &Facts<'a>) -> Operand<'a> {
    let Some((kind, inner)) = single(expression) else {
        return Operand::Unknown;
    };
    match kind {
        "payload" => payload(inner, facts),
        "meta" => meta(text(inner, "key"), facts),
        "ct" if text(inner, "key") == "state" => Operand::Number(facts.state, Names::State),
        "tcp option" => match facts.mss() {
            None => Operand::Absent,
            Some(mss) if text(inner, "name") == "maxseg" => match inner.get("field") {
                // Whether there is one.
                None => number(1),
                Some(_) => number(mss),
            },
            Some(_) => Operand::Unknown,
        },
        "&" => masked(inner, facts),
        "concat" => match inner.as_array() {
            Some(parts) => {
                Operand::Several(parts.iter().map(|part| operand(part, facts)).collect())
            }
            None => Operand::Unknown,
        },
        _ => Operand::Unknown,
    }
}

fn payload<'a>(inner: &Value, facts: &Facts<'a>) -> Operand<'a> {
    let field = text(inner, "field");
    match text(inner, "protocol") {
        "ip" if facts.v6 => Operand::Absent,
        "ip6" if !facts.v6 => Operand::Absent,
        "ip" | "ip6" => match field {
            "saddr" => Operand::Address(facts.packet.source),
            "daddr" => Operand::Address(facts.packet.destination),
            "protocol" | "nexthdr" => Operand::Number(Bits::of(facts.protocol()), Names::Protocol),
            "version" => number(if facts.v6 { 6 } else { 4 }),
            // Not a fragment; the bit above may be set.
            "frag-off" => Operand::Number(
                Bits {
                    value: 0,
                    known: !0x4000,
                },
                Names::None,
            ),
            _ => Operand::Unknown,
        },
        "icmp" => icmp(field, facts.icmp(false), Names::IcmpType, Names::IcmpCode),
        "icmpv6" => icmp(
            field,
            facts.icmp(true),
            Names::Icmpv6Type,
            Names::Icmpv6Code,
        ),
        "tcp" => match (facts.tcp_flags(), field) {
            (None, _) => Operand::Absent,
            (Some(flags), "flags") => Operand::Number(flags, Names::TcpFlags),
            (Some(_), _) => Operand::Unknown,
        },
        "udp" | "udplite" | "sctp" | "dccp" | "ah" | "esp" | "comp" | "igmp" | "gre" => {
            Operand::Absent
        }
        _ => Operand::Unknown,
    }
}

fn icmp(field: &str, kind: Option<(u64, u64)>, types: Names, codes: Names) -> Operand<'static> {
    match (kind, field) {
        (None, _) => Operand::Absent,
        (Some((kind, _)), "type") => Operand::Number(Bits::of(kind), types),
        (Some((_, code)), "code") => Operand::Number(Bits::of(code), codes),
        // For other types of message.
        (Some(_), "id" | "sequence") => Operand::Absent,
        (Some(_), _) => Operand::Unknown,
    }
}

fn meta<'a>(key: &str, facts: &Facts<'a>) -> Operand<'a> {
    match key {
        "l4proto" => Operand::Number(Bits::of(facts.protocol()), Names::Protocol),
        "nfproto" => {
            let family = if facts.v6 { value::IPV6 } else { value::IPV4 };
            Operand::Number(Bits::of(family), Names::Family)
        }
        "protocol" => {
            let kind = if facts.v6 { 0x86dd } else { 0x0800 };
            Operand::Number(Bits::of(kind), Names::EtherType)
        }
        "iifname" | "iif" => device(facts.iif()),
        "oifname" | "oif" => device(facts.oif()),
        _ => Operand::Unknown,
    }
}

fn device(device: PacketDevice<'_>) -> Operand<'_> {
    match device {
        PacketDevice::Named(name) => Operand::Device(name),
        // Kernels differ in whether a rule then compares with nothing or does not apply at all;
        // either way it is not equal to a name.
        PacketDevice::None => Operand::Device(""),
        PacketDevice::Unknown => Operand::Unknown,
    }
}

/// `left & mask`.
fn masked<'a>(inner: &Value, facts: &Facts<'a>) -> Operand<'a> {
    let Some([left, mask]) = inner.as_array().map(Vec::as_slice) else {
        return Operand::Unknown;
    };
    match operand(left, facts) {
        Operand::Absent => Operand::Absent,
        Operand::Number(bits, names) => match value::number(mask, names) {
            Some(mask) => Operand::Number(bits.mask(mask), names),
            None => Operand::Unknown,
        },
        Operand::Address(address) => {
            let mask = mask.as_str().and_then(|mask| mask.parse().ok());
            match (address, mask) {
                (IpAddr::V4(address), Some(IpAddr::V4(mask))) => {
                    Operand::Address(IpAddr::V4(address & mask))
                }
                (IpAddr::V6(address), Some(IpAddr::V6(mask))) => {
                    Operand::Address(IpAddr::V6(address & mask))
                }
                _ => Operand::Unknown,
            }
        }
        _ => Operand::Unknown,
    }
}

fn number(value: u64) -> Operand<'static> {
    Operand::Number(Bits::of(value), Names::None)
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
