//! The tables of a packet filter, whichever tool printed them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::text::{printable, quote};
use crate::core::firewall::engine::RuleAction;
use crate::core::firewall::logic::Truth;
use crate::core::firewall::packet::{Facts, Kind};
use crate::core::firewall::{Blocking, iptables, nft};

/// A table with its chains.
#[derive(Debug, Default)]
pub struct FirewallTable {
    /// Whose packets it sees: `ip`, `ip6`, or `inet` for both.
    pub family: String,
    pub name: String,
    /// What printed it, without `-save`: `iptables`, `ip6tables-legacy`; `None` for nftables.
    pub iptables: Option<String>,
    pub chains: BTreeMap<String, Chain>,
    /// Elements of named sets and maps.
    pub sets: BTreeMap<String, Vec<Value>>,
}

#[derive(Debug, Default)]
pub struct Chain {
    pub base: Option<BaseChain>,
    pub rules: Vec<FirewallRule>,
}

/// Where the kernel calls a chain.
#[derive(Debug)]
pub struct BaseChain {
    pub kind: String,
    pub hook: String,
    pub priority: i64,
    pub drops: bool,
}

#[derive(Debug)]
pub struct FirewallRule {
    /// What commands call it by: its handle, or for iptables its number in the chain.
    pub number: u64,
    pub body: RuleBody,
}

/// What a tool printed of a rule.
#[derive(Debug)]
pub enum RuleBody {
    Nft {
        statements: Vec<Value>,
        comment: Option<String>,
    },
    Iptables {
        /// All of it but its counters.
        line: String,
        /// What follows the chain's name.
        words: Vec<String>,
    },
}

impl FirewallRule {
    /// What it costs to judge it: its share of [`super::engine::BUDGET`], about one for each
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
    /// The chains that see a packet at its hook, by their names.
    pub fn base_chains(&self, facts: &Facts<'_>) -> impl Iterator<Item = (&str, &BaseChain)> {
        let family = if facts.v6 { "ip6" } else { "ip" };
        let sees = self.family == "inet" || self.family == family;
        let bases = self.chains.iter().filter(move |_| sees);
        let (kind, hook) = (facts.packet.kind, facts.hook.name());
        bases
            .filter_map(|(name, chain)| Some((name.as_str(), chain.base.as_ref()?)))
            // Address translation sees the first packet of a connection, never a message about one.
            .filter(move |(_, base)| base.kind != "nat" || kind != Kind::PacketTooBig)
            .filter(move |(_, base)| base.hook.eq_ignore_ascii_case(hook))
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
