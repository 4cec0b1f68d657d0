//! What a rule of nftables does to a packet.

use serde_json::Value;

use crate::core::firewall::iptables::eval::is_harmless;
use crate::core::firewall::logic::{Bits, Truth, and, not};
use crate::core::firewall::names::Names;
use crate::core::firewall::nft::operand::{Operand, operand, single, text};
use crate::core::firewall::nft::value::{elements, equals, is_element, number};
use crate::core::firewall::packet::Facts;
use crate::core::firewall::table::{FirewallTable, RuleAction};

/// How many comparisons a rule makes with elements of sets and maps.
pub fn comparisons(statements: &[Value], table: &FirewallTable) -> usize {
    let lists = statements.iter().filter_map(|statement| {
        let list = match single(statement)? {
            ("match", inner) => &inner["right"],
            ("vmap", inner) => &inner["data"],
            _ => return None,
        };
        elements(list, table)
    });
    lists.map(<[Value]>::len).sum()
}

/// What a rule does, in its order, and whether the conditions for it hold.
pub fn actions(
    statements: &[Value],
    table: &FirewallTable,
    facts: &Facts<'_>,
) -> Vec<(Truth, RuleAction)> {
    let mut evaluation = Evaluation {
        table,
        facts,
        holds: Some(true),
        actions: Vec::new(),
    };
    for statement in statements {
        evaluation.statement(statement);
        if evaluation.holds == Some(false) {
            break;
        }
    }
    evaluation.actions
}

struct Evaluation<'a> {
    table: &'a FirewallTable,
    facts: &'a Facts<'a>,
    /// Whether all conditions so far hold.
    holds: Truth,
    actions: Vec<(Truth, RuleAction)>,
}

impl Evaluation<'_> {
    fn statement(&mut self, statement: &Value) {
        // A bare word in older versions.
        let bare = statement.as_str().map(|word| (word, &Value::Null));
        let Some((kind, inner)) = bare.or_else(|| single(statement)) else {
            return self.obscure();
        };
        match kind {
            "match" => self.demand(self.comparison(inner)),
            "vmap" => self.verdict_map(inner),
            "mangle" => self.mangle(inner),
            "notrack" => self.act(RuleAction::Untrack),
            // The chain's last word on an address translation.
            "masquerade" | "snat" | "dnat" | "redirect" => self.act(RuleAction::Accept),
            "limit" | "quota" | "ct count" | "connlimit" | "meter" => self.demand(None),
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
        self.holds = and(self.holds, condition);
    }

    /// A statement that may be a condition or a verdict.
    fn obscure(&mut self) {
        self.act(RuleAction::Obscure);
        self.demand(None);
    }

    fn comparison(&self, inner: &Value) -> Truth {
        let left = operand(&inner["left"], self.facts);
        if is_absent(&left) {
            return Some(false);
        }
        let right = &inner["right"];
        match text(inner, "op") {
            "!=" => self.differs(&left, right),
            "!" => flags(&left, right)?.equals(0),
            "==" => equals(&left, right, self.table),
            "in" => match flags(&left, right) {
                Some(set) => not(set.equals(0)),
                // Written for `==` by some versions.
                None => equals(&left, right, self.table),
            },
            order => {
                let Operand::Number(bits, names) = left else {
                    return None;
                };
                let (left, right) = (bits.exact()?, number(right, names)?);
                match order {
                    "<" => Some(left < right),
                    ">" => Some(left > right),
                    "<=" => Some(left <= right),
                    ">=" => Some(left >= right),
                    _ => None,
                }
            }
        }
    }

    fn differs(&self, left: &Operand<'_>, right: &Value) -> Truth {
        let differs = not(equals(left, right, self.table));
        match (left, right) {
            // A list of flags: versions differ in whether it means "not exactly these" or "none of
            // these".
            (Operand::Number(..), Value::Array(_)) => {
                let none = flags(left, right)?.equals(0);
                differs.filter(|_| none == differs)
            }
            // Older kernels do not apply a rule about a device that there is none of.
            (Operand::Device(""), _) => differs.filter(|differs| !differs),
            _ => differs,
        }
    }

    fn verdict_map(&mut self, inner: &Value) {
        let key = operand(&inner["key"], self.facts);
        if is_absent(&key) {
            self.holds = Some(false);
            return;
        }
        let Some(elements) = elements(&inner["data"], self.table) else {
            return self.obscure();
        };
        // The element for all others is asked last, wherever it is listed.
        let mut ordered: Vec<&Value> = elements.iter().collect();
        ordered.sort_by_key(|element| element[0].as_str() == Some("*"));
        for element in ordered {
            let Some([left, right]) = element.as_array().map(Vec::as_slice) else {
                self.obscure();
                continue;
            };
            let found = is_element(&key, left);
            if found == Some(false) {
                continue;
            }
            if right.get("continue").is_some() {
                if found == Some(true) {
                    return;
                }
                continue;
            }
            let action = single(right).and_then(|(kind, inner)| verdict(kind, inner));
            let action = action.unwrap_or(RuleAction::Obscure);
            self.actions.push((and(self.holds, found), action));
            if found == Some(true) {
                break;
            }
        }
        self.holds = Some(false);
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
        match (text(inner, "type"), text(inner, "name")) {
            ("match", "comment") | ("target", "TCPMSS") => {}
            ("match", _) => self.demand(None),
            ("target", "REJECT") => self.act(RuleAction::Drop),
            ("target", "CT") => self.act(RuleAction::Untrack),
            ("target", name) if is_harmless(name).is_some() => {}
            _ => self.obscure(),
        }
    }
}

/// Those of several flags that a number has; `None` for what is no list of flags.
fn flags(left: &Operand<'_>, right: &Value) -> Option<Bits> {
    match left {
        Operand::Number(bits, names @ (Names::State | Names::TcpFlags)) => {
            Some(bits.mask(number(right, *names)?))
        }
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
    let target = || text(inner, "target").to_owned();
    Some(match kind {
        "accept" => RuleAction::Accept,
        "drop" | "reject" => RuleAction::Drop,
        "return" => RuleAction::Return,
        "jump" => RuleAction::Jump(target()),
        "goto" => RuleAction::Goto(target()),
        _ => return None,
    })
}
