//! What rules cost, do and say, in the language of whichever tool printed them.

use crate::base::text::{printable, quote};
use crate::core::firewall::logic::Truth;
use crate::core::firewall::packet::Facts;
use crate::core::firewall::table::{FirewallRule, FirewallTable, RuleAction, RuleBody};
use crate::core::firewall::{Blocking, iptables, nft};

impl FirewallRule {
    /// What it costs to judge it: its share of the budget of the walk, about one for each
    /// comparison.
    pub fn cost(&self, table: &FirewallTable) -> usize {
        match &self.body {
            RuleBody::Nft { statements, .. } => 10 + nft::eval::comparisons(statements, table),
            RuleBody::Iptables { .. } => 10,
        }
    }

    /// What it does, in its order: the actions and whether their conditions hold, false ones left
    /// out.
    pub fn actions(&self, table: &FirewallTable, facts: &Facts<'_>) -> Vec<(Truth, RuleAction)> {
        match &self.body {
            RuleBody::Nft { statements, .. } => nft::eval::actions(statements, table, facts),
            RuleBody::Iptables { words, .. } => iptables::eval::actions(words, table, facts),
        }
    }

    /// The rule in one line, fit to be shown.
    pub fn text(&self) -> String {
        let text = match &self.body {
            RuleBody::Nft {
                statements,
                comment,
            } => &nft::text::rule_text(statements, comment.as_deref()),
            RuleBody::Iptables { line, .. } => line,
        };
        printable(text.as_bytes())
    }
}

impl FirewallTable {
    /// Where a rule is and what it says, or for `None` the policy of a base chain: `table inet filter, chain
    /// input, handle 7: tcp dport 80 drop`, `iptables filter INPUT, rule 2: -A INPUT -j DROP`.
    pub fn culprit(&self, chain: &str, rule: Option<&FirewallRule>) -> String {
        let family = &self.family;
        let [name, chain] = [&self.name, chain].map(|name| printable(name.as_bytes()));
        match (&self.iptables, rule) {
            (None, None) => format!("table {family} {name}, chain {chain}: policy drop"),
            (None, Some(rule)) => format!(
                "table {family} {name}, chain {chain}, handle {}: {}",
                rule.number,
                rule.text()
            ),
            (Some(tool), None) => format!("{tool} {name} {chain}: -P {chain} DROP"),
            (Some(tool), Some(rule)) => format!(
                "{tool} {name} {chain}, rule {}: {}",
                rule.number,
                rule.text()
            ),
        }
    }

    /// What a rule, or for `None` the policy of a base chain, says that stops a packet. What lets it
    /// through goes before the rule; before all for a policy, since a rule at the end may never be
    /// reached.
    pub fn blocking(
        &self,
        chain: &str,
        rule: Option<&FirewallRule>,
        facts: &Facts<'_>,
    ) -> Blocking {
        let Self { family, name, .. } = self;
        let (table, quoted) = (quote(name), quote(chain));
        let number = rule.map(|rule| rule.number);
        let (place, policy, command) = match &self.iptables {
            None => {
                let what = match (facts.is_syn(), facts.v6) {
                    (true, _) => "tcp flags syn",
                    (false, false) => "icmp type destination-unreachable icmp code frag-needed",
                    (false, true) => "icmpv6 type packet-too-big",
                };
                let at = number.map_or(String::new(), |handle| format!(" position {handle}"));
                (
                    format!("table {family} {name}, chain {chain}"),
                    "policy drop".to_owned(),
                    format!("nft insert rule {family} {table} {quoted}{at} {what} accept"),
                )
            }
            Some(tool) => {
                let what = match (facts.is_syn(), facts.v6) {
                    (true, _) => "-p tcp --syn",
                    (false, false) => "-p icmp --icmp-type fragmentation-needed",
                    (false, true) => "-p ipv6-icmp --icmpv6-type packet-too-big",
                };
                let number = number.unwrap_or(1);
                let table = match name.as_str() {
                    "filter" => String::new(),
                    _ => format!(" -t {table}"),
                };
                (
                    format!("{tool} {name} {chain}"),
                    format!("-P {chain} DROP"),
                    format!("{tool}{table} -I {quoted} {number} {what} -j ACCEPT"),
                )
            }
        };
        let is_safe = |name: &str| printable(name.as_bytes()) == name;
        let safe = is_safe(name) && is_safe(chain);
        Blocking {
            rule: rule.map_or_else(|| printable(policy.as_bytes()), FirewallRule::text),
            place: printable(place.as_bytes()),
            commands: safe.then_some(command).into_iter().collect(),
        }
    }
}
