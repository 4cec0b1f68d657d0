//! What a rule of iptables does to a packet.

use crate::base::text::{printable, quote};
use crate::core::firewall::Blocking;
use crate::core::firewall::engine::{RuleAction, Rules};
use crate::core::firewall::iptables::{IptablesRule, IptablesTable, is_within};
use crate::core::firewall::logic::Truth;
use crate::core::firewall::packet::{Facts, PacketDevice, protocol_number, state_bit, tcp_flag};

impl Rules for &IptablesTable {
    fn length(&self, chain: &str) -> Option<usize> {
        self.chains.get(chain).map(|chain| chain.rules.len())
    }

    fn cost(&self, _chain: &str, _index: usize) -> usize {
        10
    }

    fn actions(&self, chain: &str, index: usize, facts: &Facts<'_>) -> Vec<(Truth, RuleAction)> {
        let Some(rule) = self.rule(chain, index) else {
            return Vec::new();
        };
        let (holds, target) = conditions(&rule.words, facts);
        if holds == Truth::False {
            return Vec::new();
        }
        let action = target.and_then(|target| self.action(target, facts));
        action.map(|action| (holds, action)).into_iter().collect()
    }

    fn text(&self, chain: &str, index: usize) -> String {
        let text = self.rule(chain, index).map(|rule| rule.text.as_bytes());
        printable(text.unwrap_or_default())
    }

    fn blocking(&self, chain: &str, index: Option<usize>, facts: &Facts<'_>) -> Blocking {
        let rule = match index {
            Some(index) => self.text(chain, index),
            None => printable(format!("-P {chain} DROP").as_bytes()),
        };
        let place = format!("{} {} {chain}", self.tool, self.name);
        let safe =
            printable(chain.as_bytes()) == chain && printable(self.name.as_bytes()) == self.name;
        let table = match self.name.as_str() {
            "filter" => String::new(),
            name => format!(" -t {}", quote(name)),
        };
        let what = match (facts.is_syn(), facts.v6) {
            (true, _) => "-p tcp --syn",
            (false, false) => "-p icmp --icmp-type fragmentation-needed",
            (false, true) => "-p ipv6-icmp --icmpv6-type packet-too-big",
        };
        // Before the rule; before all for a policy, since a rule at the end may not be reached.
        let number = index.map_or(1, |index| index + 1);
        let command = format!(
            "{}{table} -I {} {number} {what} -j ACCEPT",
            self.tool,
            quote(chain)
        );
        Blocking {
            rule,
            place: printable(place.as_bytes()),
            commands: safe.then_some(command).into_iter().collect(),
        }
    }
}

/// Where a rule sends a packet: `-j` or `-g`, the name, and its options.
#[derive(Clone, Copy)]
struct Target<'r> {
    goto: bool,
    name: &'r str,
    options: &'r [String],
}

impl IptablesTable {
    fn rule(&self, chain: &str, index: usize) -> Option<&IptablesRule> {
        self.chains.get(chain)?.rules.get(index)
    }

    fn action(&self, target: Target<'_>, facts: &Facts<'_>) -> Option<RuleAction> {
        let Target {
            goto,
            name,
            options,
        } = target;
        let has = |option: &str| options.iter().any(|word| word == option);
        Some(match name {
            "ACCEPT" | "MASQUERADE" | "SNAT" | "DNAT" | "REDIRECT" | "NETMAP" => RuleAction::Accept,
            "DROP" | "REJECT" => RuleAction::Drop,
            "RETURN" => RuleAction::Return,
            "NOTRACK" => RuleAction::Untrack,
            "CT" if has("--notrack") => RuleAction::Untrack,
            "CT" => return None,
            "TCPMSS" if !facts.is_syn() => return None,
            "TCPMSS" if has("--clamp-mss-to-pmtu") => RuleAction::Clamp(None),
            "TCPMSS" => {
                let set = options
                    .iter()
                    .skip_while(|word| *word != "--set-mss")
                    .nth(1);
                RuleAction::Clamp(Some(set?.parse().ok()?))
            }
            name if is_harmless(name) => return None,
            name if self.chains.contains_key(name) && goto => RuleAction::Goto(name.to_owned()),
            name if self.chains.contains_key(name) => RuleAction::Jump(name.to_owned()),
            _ => RuleAction::Obscure,
        })
    }
}

/// Targets that let the packet go on to the next rule, and leave it as it is in all that counts.
pub fn is_harmless(target: &str) -> bool {
    matches!(
        target,
        "AUDIT"
            | "CHECKSUM"
            | "CLASSIFY"
            | "CONNMARK"
            | "CONNSECMARK"
            | "DSCP"
            | "ECN"
            | "HL"
            | "HMARK"
            | "IDLETIMER"
            | "LED"
            | "LOG"
            | "MARK"
            | "NFLOG"
            | "RATEEST"
            | "SECMARK"
            | "SET"
            | "TCPOPTSTRIP"
            | "TEE"
            | "TOS"
            | "TRACE"
            | "TTL"
            | "ULOG"
    )
}

/// Whether all conditions of a rule hold, and its target.
fn conditions<'r>(words: &'r [String], facts: &Facts<'_>) -> (Truth, Option<Target<'r>>) {
    let mut holds = Truth::True;
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
        holds = holds.and(condition(option, arguments, facts).not_if(negated));
        negated = false;
    }
    (holds, None)
}

fn condition(option: &str, arguments: &[String], facts: &Facts<'_>) -> Truth {
    let Some(value) = arguments.first() else {
        return match option {
            // A fragment that is not the first.
            "-f" => Truth::False,
            "--syn" => facts.is_syn().into(),
            _ => Truth::Unknown,
        };
    };
    match option {
        "-m" => match value.as_str() {
            "comment" | "conntrack" | "state" | "icmp" | "icmp6" | "icmpv6" | "tcp" | "udp"
            | "tcpmss" | "multiport" => Truth::True,
            _ => Truth::Unknown,
        },
        "-p" => match protocol_number(value) {
            _ if value == "all" || value == "0" => Truth::True,
            Some(number) => (number == facts.protocol()).into(),
            None => Truth::Unknown,
        },
        "-s" => is_within(facts.packet.source, value).map_or(Truth::Unknown, Truth::from),
        "-d" => is_within(facts.packet.destination, value).map_or(Truth::Unknown, Truth::from),
        "-i" => device(facts.iif(), value),
        "-o" => device(facts.oif(), value),
        "--icmp-type" => icmp(facts.icmp(false), value, &ICMP_NAMES),
        "--icmpv6-type" => icmp(facts.icmp(true), value, &ICMPV6_NAMES),
        "--ctstate" | "--state" => Truth::any(value.split(',').map(|state| {
            // Whether a connection is translated is no state of that kind.
            state_bit(state).map_or(Truth::Unknown, |bit| facts.state.equals(bit))
        })),
        "--tcp-flags" => match arguments {
            [mask, set] => tcp_flags(facts, mask, set),
            _ => Truth::Unknown,
        },
        "--mss" => match (facts.mss(), value.split_once(':').unwrap_or((value, value))) {
            (None, _) => Truth::False,
            (Some(mss), (first, last)) => match (first.parse::<u64>(), last.parse::<u64>()) {
                (Ok(first), Ok(last)) => (first..=last).contains(&mss).into(),
                _ => Truth::Unknown,
            },
        },
        _ => Truth::Unknown,
    }
}

fn device(device: PacketDevice<'_>, pattern: &str) -> Truth {
    let name = match device {
        PacketDevice::Named(name) => name,
        PacketDevice::None => "",
        PacketDevice::Unknown => return Truth::Unknown,
    };
    match pattern.strip_suffix('+') {
        Some(start) => name.starts_with(start).into(),
        None => (name == pattern).into(),
    }
}

const ICMP_NAMES: [(&str, &str); 7] = [
    ("destination-unreachable", "3"),
    ("fragmentation-needed", "3/4"),
    ("echo-reply", "0"),
    ("pong", "0"),
    ("echo-request", "8"),
    ("ping", "8"),
    ("time-exceeded", "11"),
];
const ICMPV6_NAMES: [(&str, &str); 5] = [
    ("packet-too-big", "2"),
    ("destination-unreachable", "1"),
    ("time-exceeded", "3"),
    ("echo-request", "128"),
    ("echo-reply", "129"),
];

fn icmp(kind: Option<(u64, u64)>, asked: &str, names: &[(&str, &str)]) -> Truth {
    let Some((kind, code)) = kind else {
        return Truth::False;
    };
    if asked == "any" {
        return Truth::True;
    }
    let named = names.iter().find(|(name, _)| *name == asked);
    let asked = named.map_or(asked, |(_, number)| number);
    let (asked_kind, asked_code) = match asked.split_once('/') {
        Some((kind, code)) => (kind, Some(code)),
        None => (asked, None),
    };
    match (asked_kind.parse::<u64>(), asked_code.map(str::parse::<u64>)) {
        (Ok(asked), None) => (asked == kind).into(),
        (Ok(asked), Some(Ok(asked_code))) => (asked == kind && asked_code == code).into(),
        _ => Truth::Unknown,
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
    match (facts.tcp_flags(), bits(mask), bits(set)) {
        (None, _, _) => Truth::False,
        (Some(flags), Some(mask), Some(set)) => flags.mask(mask).equals(set),
        _ => Truth::Unknown,
    }
}
