//! What a rule of iptables does to a packet.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::core::firewall::logic::{Truth, and, any, not};
use crate::core::firewall::names::{Names, protocol_number, state_bit, tcp_flag};
use crate::core::firewall::packet::{Facts, masked};
use crate::core::firewall::table::{FirewallTable, RuleAction};

/// Where a rule sends a packet: `-j` or `-g`, the name, and its options.
struct Target<'r> {
    goto: bool,
    name: &'r str,
    options: &'r [String],
}

/// What the words of a rule do, and whether its conditions hold.
pub fn actions(
    words: &[String],
    table: &FirewallTable,
    facts: &Facts<'_>,
) -> Vec<(Truth, RuleAction)> {
    let (holds, target) = conditions(words, facts);
    let target = target.filter(|_| holds != Some(false));
    let action = target.and_then(|target| action(&target, table, facts));
    action.map(|action| (holds, action)).into_iter().collect()
}

fn action(target: &Target<'_>, table: &FirewallTable, facts: &Facts<'_>) -> Option<RuleAction> {
    let has = |option: &str| target.options.iter().any(|word| word == option);
    Some(match target.name {
        "ACCEPT" | "MASQUERADE" | "SNAT" | "DNAT" | "REDIRECT" | "NETMAP" => RuleAction::Accept,
        "DROP" | "REJECT" => RuleAction::Drop,
        "RETURN" => RuleAction::Return,
        "NOTRACK" => RuleAction::Untrack,
        "CT" if has("--notrack") => RuleAction::Untrack,
        "CT" => return None,
        "TCPMSS" if !facts.is_syn() => return None,
        "TCPMSS" if has("--clamp-mss-to-pmtu") => RuleAction::Clamp(None),
        "TCPMSS" => {
            let mut options = target
                .options
                .iter()
                .skip_while(|word| *word != "--set-mss");
            RuleAction::Clamp(Some(options.nth(1)?.parse().ok()?))
        }
        name if is_harmless(name).is_some() => return None,
        name if !table.chains.contains_key(name) => RuleAction::Obscure,
        name if target.goto => RuleAction::Goto(name.to_owned()),
        name => RuleAction::Jump(name.to_owned()),
    })
}

/// Whether a target lets the packet go on to the next rule and leaves it as it is in all that counts;
/// `None` if that is not known of it.
pub fn is_harmless(target: &str) -> Truth {
    match target {
        "AUDIT" | "CHECKSUM" | "CLASSIFY" | "CONNMARK" | "CONNSECMARK" | "DSCP" | "ECN" | "HL"
        | "HMARK" | "IDLETIMER" | "LED" | "LOG" | "MARK" | "NFLOG" | "RATEEST" | "SECMARK"
        | "SET" | "TCPOPTSTRIP" | "TEE" | "TOS" | "TRACE" | "TTL" | "ULOG" => Some(true),
        _ => None,
    }
}

/// Whether all conditions of a rule hold, and its target.
fn conditions<'r>(words: &'r [String], facts: &Facts<'_>) -> (Truth, Option<Target<'r>>) {
    let mut holds = Some(true);
    let mut negated = false;
    let mut at = 0;
    while let Some(option) = words.get(at).map(String::as_str) {
        at += 1;
        if option == "!" {
            negated = true;
            continue;
        }
        let is_value = |word: &&String| *word != "!" && !word.starts_with('-');
        let values = words[at..].iter().take_while(is_value).count();
        let arguments = &words[at..at + values];
        if let ("-j" | "-g", Some(name)) = (option, arguments.first()) {
            let target = Target {
                goto: option == "-g",
                name,
                options: &words[at + 1..],
            };
            return (holds, Some(target));
        }
        // A comment may look like an option.
        if option == "--comment" {
            at += 1;
            continue;
        }
        at += values;
        let met = condition(option, arguments, facts);
        holds = and(holds, if negated { not(met) } else { met });
        negated = false;
    }
    (holds, None)
}

fn condition(option: &str, arguments: &[String], facts: &Facts<'_>) -> Truth {
    let Some(value) = arguments.first() else {
        return match option {
            // A fragment that is not the first.
            "-f" => Some(false),
            "--syn" => tcp_flags(facts, "SYN,RST,ACK,FIN", "SYN"),
            _ => None,
        };
    };
    match option {
        "-m" => match value.as_str() {
            "comment" | "conntrack" | "state" | "icmp" | "icmp6" | "icmpv6" | "tcp" | "udp"
            | "tcpmss" | "multiport" | "length" => Some(true),
            _ => None,
        },
        "-p" if value == "all" || value == "0" => Some(true),
        "-p" => Some(protocol_number(value)? == facts.protocol()),
        "-s" => is_within(facts.packet.source, value),
        "-d" => is_within(facts.packet.destination, value),
        "-i" => Some(is_device(facts.iif()?, value)),
        "-o" => Some(is_device(facts.oif()?, value)),
        "--icmp-type" => icmp(facts.icmp(false), value, Names::IcmpType),
        "--icmpv6-type" => icmp(facts.icmp(true), value, Names::Icmpv6Type),
        "--ctstate" | "--state" => any(value.split(',').map(|state| {
            // Whether a connection is translated is no state of that kind.
            facts.state.equals(state_bit(state)?)
        })),
        "--tcp-flags" => match arguments {
            [mask, set] => tcp_flags(facts, mask, set),
            _ => None,
        },
        "--sport" | "--dport" | "--sports" | "--dports" | "--ports" => {
            let (source, destination) = facts.seen()?.ports?;
            let ports = match option {
                "--sport" | "--sports" => &[source][..],
                "--dport" | "--dports" => &[destination][..],
                _ => &[source, destination][..],
            };
            any(ports.iter().map(|&port| is_listed(port.into(), value)))
        }
        "--length" => is_listed(facts.seen()?.length_bytes, value),
        // Of a packet that was seen it is not known.
        "--mss" if facts.seen().is_some() => None,
        "--mss" => {
            let Some(mss) = facts.mss() else {
                return Some(false);
            };
            let (first, last) = value.split_once(':').unwrap_or((value, value));
            Some((first.parse().ok()?..=last.parse().ok()?).contains(&mss))
        }
        _ => None,
    }
}

/// Whether an address is of a network written `10.0.0.0/8`, `10.0.0.0/255.0.255.0` or without an
/// end.
fn is_within(address: IpAddr, network: &str) -> Truth {
    let (network, mask) = network.split_once('/').unwrap_or((network, ""));
    let network: IpAddr = network.parse().ok()?;
    let mask = match mask.parse() {
        Ok(length) => IpNet::new(network, length).ok()?.netmask(),
        Err(_) if mask.is_empty() => IpNet::from(network).netmask(),
        Err(_) => mask.parse().ok()?,
    };
    Some(masked(address, mask)? == masked(network, mask)?)
}

/// Whether a number is in a list of some and of ranges, `80,443,8000:8100`.
fn is_listed(number: u32, list: &str) -> Truth {
    any(list.split(',').map(|item| {
        let (first, last) = item.split_once(':').unwrap_or((item, item));
        Some((first.parse().ok()?..=last.parse().ok()?).contains(&number))
    }))
}

/// Whether a device's name is one that a rule names, `eth+` for all that begin so.
fn is_device(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('+') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn icmp(message: Option<(u64, u64)>, asked: &str, names: Names) -> Truth {
    let Some((kind, code)) = message else {
        return Some(false);
    };
    let asked = match asked {
        "any" => return Some(true),
        "fragmentation-needed" => "3/4",
        "pong" => "echo-reply",
        "ping" => "echo-request",
        asked => asked,
    };
    match asked.split_once('/') {
        Some((asked, of)) => Some((kind, code) == (names.number(asked)?, of.parse().ok()?)),
        None => Some(kind == names.number(asked)?),
    }
}

fn tcp_flags(facts: &Facts<'_>, mask: &str, set: &str) -> Truth {
    let bits = |flags: &str| match flags {
        "ALL" => Some(0x3f),
        "NONE" => Some(0),
        flags => flags
            .split(',')
            .try_fold(0, |bits, flag| Some(bits | tcp_flag(flag)?)),
    };
    match facts.tcp_flags() {
        None => Some(false),
        Some(flags) => flags.mask(bits(mask)?).equals(bits(set)?),
    }
}
