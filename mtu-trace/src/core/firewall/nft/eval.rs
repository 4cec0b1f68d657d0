//! What a rule of nftables does to a packet.

use std::slice;

use serde_json::Value;

use crate::base::text::{printable, quote};
use crate::core::firewall::Blocking;
use crate::core::firewall::engine::{RuleAction, Rules};
use crate::core::firewall::logic::Truth;
use crate::core::firewall::nft::operand::{Operand, operand, single, text};
use crate::core::firewall::nft::ruleset::{NftRule, NftTable};
use crate::core::firewall::nft::text::rule_text;
use crate::core::firewall::nft::value::{Names, equals, is_element, number};
use crate::core::firewall::packet::Facts;

impl Rules for &NftTable {
    fn length(&self, chain: &str) -> Option<usize> {
        self.chains.get(chain).map(|chain| chain.rules.len())
    }

    fn cost(&self, chain: &str, index: usize) -> usize {
        let statements = self.rule(chain, index).map(|rule| &rule.statements);
        let elements = statements.into_iter().flatten().map(|statement| {
            let list = match single(statement) {
                Some(("match", inner)) => &inner["right"],
                Some(("vmap", inner)) => &inner["data"],
                _ => return 0,
            };
            let named = list.as_str().and_then(|name| name.strip_prefix('@'));
            match named {
                Some(name) => self.sets.get(name).map_or(0, Vec::len),
                None => list["set"].as_array().map_or(0, Vec::len),
            }
        });
        10 + elements.sum::<usize>()
    }

    fn actions(&self, chain: &str, index: usize, facts: &Facts<'_>) -> Vec<(Truth, RuleAction)> {
        let Some(rule) = self.rule(chain, index) else {
            return Vec::new();
        };
        let mut evaluation = Evaluation {
            table: self,
            facts,
            holds: Truth::True,
            actions: Vec::new(),
        };
        for statement in &rule.statements {
            evaluation.statement(statement);
            if evaluation.holds == Truth::False {
                break;
            }
        }
        evaluation.actions
    }

    fn text(&self, chain: &str, index: usize) -> String {
        let text = self.rule(chain, index).map(rule_text).unwrap_or_default();
        printable(text.as_bytes())
    }

    fn blocking(&self, chain: &str, index: Option<usize>, facts: &Facts<'_>) -> Blocking {
        let rule = index.and_then(|index| self.rule(chain, index));
        let place = format!("table {} {}, chain {chain}", self.family, self.name);
        Blocking {
            rule: match rule {
                Some(rule) => printable(rule_text(rule).as_bytes()),
                None => "policy drop".to_owned(),
            },
            place: printable(place.as_bytes()),
            commands: self.commands(chain, rule, facts).into_iter().collect(),
        }
    }
}

impl NftTable {
    fn rule(&self, chain: &str, index: usize) -> Option<&NftRule> {
        self.chains.get(chain)?.rules.get(index)
    }

    /// An insertion before a rule, or at the start of a chain whose policy is at fault: a rule at
    /// its end may never be reached.
    fn commands(&self, chain: &str, before: Option<&NftRule>, facts: &Facts<'_>) -> Option<String> {
        for name in [self.name.as_str(), chain] {
            if printable(name.as_bytes()) != name {
                return None;
            }
        }
        let position = match before {
            Some(rule) => format!(" position {}", rule.handle),
            None => String::new(),
        };
        let what = match (facts.is_syn(), facts.v6) {
            (true, _) => "tcp flags syn",
            (false, false) => "icmp type destination-unreachable icmp code frag-needed",
            (false, true) => "icmpv6 type packet-too-big",
        };
        Some(format!(
            "nft insert rule {} {} {}{position} {what} accept",
            self.family,
            quote(&self.name),
            quote(chain)
        ))
    }
}

struct Evaluation<'a> {
    table: &'a NftTable,
    facts: &'a Facts<'a>,
    /// Whether all conditions so far hold.
    holds: Truth,
    actions: Vec<(Truth, RuleAction)>,
}

impl Evaluation<'_> {
    fn statement(&mut self, statement: &Value) {
        // A bare word in older versions.
        let (kind, inner) = match statement.as_str() {
            Some(word) => (word, &Value::Null),
            None => match single(statement) {
                Some(found) => found,
                None => return self.obscure(),
            },
        };
        match kind {
            "match" => self.demand(self.comparison(inner)),
            "vmap" => self.verdict_map(inner),
            "mangle" => self.mangle(inner),
            "notrack" => self.act(RuleAction::Untrack),
            // The chain's last word on an address translation.
            "masquerade" | "snat" | "dnat" | "redirect" => self.act(RuleAction::Accept),
            "limit" | "quota" | "ct count" | "connlimit" | "meter" => self.demand(Truth::Unknown),
            "xt" => self.extension(inner),
            "counter" | "log" | "comment" | "set" | "map" | "flow" | "dup" | "last"
            | "continue" | "ct helper" | "ct timeout" | "ct expectation" | "secmark" => {}
            "queue" | "tproxy" | "synproxy" => self.act(RuleAction::Obscure),
            _ => match verdict(kind, inner) {
                Some(action) => self.act(action),
                None => self.obscure(),
            },
        }
    }

    fn act(&mut self, action: RuleAction) {
        self.actions.push((self.holds, action));
    }

    fn demand(&mut self, condition: Truth) {
        self.holds = self.holds.and(condition);
    }

    /// A statement that may be a condition or a verdict.
    fn obscure(&mut self) {
        self.act(RuleAction::Obscure);
        self.demand(Truth::Unknown);
    }

    fn comparison(&self, inner: &Value) -> Truth {
        let left = operand(&inner["left"], self.facts);
        if is_absent(&left) {
            return Truth::False;
        }
        let right = &inner["right"];
        match text(inner, "op") {
            "==" => equals(&left, right, self.table),
            "!=" => self.differs(&left, right),
            "in" => match (&left, flags(&left, right)) {
                (Operand::Number(bits, _), Some(mask)) => bits.mask(mask).equals(0).not(),
                // Written for `==` by some versions.
                _ => equals(&left, right, self.table),
            },
            "!" => match (&left, flags(&left, right)) {
                (Operand::Number(bits, _), Some(mask)) => bits.mask(mask).equals(0),
                _ => Truth::Unknown,
            },
            order => match &left {
                Operand::Number(bits, names) => match number(right, *names) {
                    Some(right) => match order {
                        "<" => bits.test(|left| left < right),
                        ">" => bits.test(|left| left > right),
                        "<=" => bits.test(|left| left <= right),
                        ">=" => bits.test(|left| left >= right),
                        _ => Truth::Unknown,
                    },
                    None => Truth::Unknown,
                },
                _ => Truth::Unknown,
            },
        }
    }

    fn differs(&self, left: &Operand<'_>, right: &Value) -> Truth {
        let differs = equals(left, right, self.table).not();
        // A list of flags: versions differ in whether it means "not exactly these" or "none of
        // these".
        if let (Operand::Number(bits, _), Value::Array(_)) = (left, right) {
            let none = flags(left, right).map(|mask| bits.mask(mask).equals(0));
            return if none == Some(differs) {
                differs
            } else {
                Truth::Unknown
            };
        }
        // Older kernels do not apply a rule about a device that there is none of.
        if matches!(left, Operand::Device("")) && differs == Truth::True {
            return Truth::Unknown;
        }
        differs
    }

    fn verdict_map(&mut self, inner: &Value) {
        let key = operand(&inner["key"], self.facts);
        if is_absent(&key) {
            self.holds = Truth::False;
            return;
        }
        let data = &inner["data"];
        let elements = match data.as_str().and_then(|name| name.strip_prefix('@')) {
            Some(name) => self.table.sets.get(name).map(Vec::as_slice),
            None => data
                .get("set")
                .map(|set| set.as_array().map_or(slice::from_ref(set), Vec::as_slice)),
        };
        let Some(elements) = elements else {
            return self.obscure();
        };
        // The element for all others is asked last, wherever it is listed.
        let is_rest = |element: &&Value| element[0].as_str() == Some("*");
        let ordered = elements
            .iter()
            .filter(|element| !is_rest(element))
            .chain(elements.iter().filter(is_rest));
        for element in ordered {
            let found = match element.as_array().map(Vec::as_slice) {
                Some([left, right]) => Some((is_element(&key, left), right)),
                _ => None,
            };
            let Some((truth, right)) = found else {
                self.obscure();
                continue;
            };
            if truth == Truth::False {
                continue;
            }
            if right.get("continue").is_some() {
                if truth == Truth::True {
                    return;
                }
                continue;
            }
            let action = single(right).and_then(|(kind, inner)| verdict(kind, inner));
            let action = action.unwrap_or(RuleAction::Obscure);
            self.actions.push((self.holds.and(truth), action));
            if truth == Truth::True {
                break;
            }
        }
        self.holds = Truth::False;
    }

    fn mangle(&mut self, inner: &Value) {
        let Some(("tcp option", option)) = single(&inner["key"]) else {
            return;
        };
        if text(option, "name") != "maxseg" || !self.facts.is_syn() {
            return;
        }
        let value = &inner["value"];
        if let Some(("rt", route)) = single(value) {
            if text(route, "key") == "mtu" {
                self.act(RuleAction::Clamp(None));
            }
        } else if let Some(mss) = value.as_u64().and_then(|mss| u16::try_from(mss).ok()) {
            self.act(RuleAction::Clamp(Some(mss)));
        }
    }

    /// Something of iptables, of which `nft` says little more than the name.
    fn extension(&mut self, inner: &Value) {
        let name = text(inner, "name");
        match text(inner, "type") {
            "match" if name == "comment" => {}
            "match" => self.demand(Truth::Unknown),
            "target" if name == "REJECT" => self.act(RuleAction::Drop),
            "target" if crate::core::firewall::iptables::is_harmless(name) || name == "TCPMSS" => {}
            "target" if name == "CT" => self.act(RuleAction::Untrack),
            _ => self.obscure(),
        }
    }
}

/// Several flags as one number; `None` for what is no list of them.
fn flags(left: &Operand<'_>, right: &Value) -> Option<u64> {
    match left {
        Operand::Number(_, names @ (Names::State | Names::TcpFlags)) => number(right, *names),
        _ => None,
    }
}

fn is_absent(operand: &Operand<'_>) -> bool {
    match operand {
        Operand::Absent => true,
        Operand::Several(parts) => parts.iter().any(is_absent),
        _ => false,
    }
}

fn verdict(kind: &str, inner: &Value) -> Option<RuleAction> {
    Some(match kind {
        "accept" => RuleAction::Accept,
        "drop" | "reject" => RuleAction::Drop,
        "return" => RuleAction::Return,
        "jump" => RuleAction::Jump(text(inner, "target").to_owned()),
        "goto" => RuleAction::Goto(text(inner, "target").to_owned()),
        _ => return None,
    })
}
