//! The tables of a packet filter, whichever tool printed them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::firewall::packet::{Facts, HookFamily, Kind};

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
    /// The devices whose frames it sees, where it is of a device's hook; empty for any, and
    /// where that is not told (nft 1.0.6).
    pub devices: Vec<String>,
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

/// What a rule does to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleAction {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
    Clamp(Option<u16>),
    /// The packet is not tracked from here on.
    Untrack,
    /// Not understood: it may do anything.
    Obscure,
}

impl FirewallTable {
    /// The chains that see a packet at its hook, by their names.
    pub fn base_chains(&self, facts: &Facts<'_>) -> impl Iterator<Item = (&str, &BaseChain)> {
        let family = match facts.hook.family() {
            HookFamily::Bridge => "bridge",
            HookFamily::Netdev => "netdev",
            HookFamily::Ip if facts.v6 => "ip6",
            HookFamily::Ip => "ip",
        };
        // Tables of `inet` see both families, and from Linux 5.10 on what a device receives.
        let is_inet = self.family == "inet" && facts.hook.family() != HookFamily::Bridge;
        let sees = is_inet || self.family == family;
        let bases = self.chains.iter().filter(move |_| sees);
        let (kind, hook) = (facts.packet.kind, facts.hook.chain());
        bases
            .filter_map(|(name, chain)| Some((name.as_str(), chain.base.as_ref()?)))
            // Address translation sees the first packet of a connection, never a message about one.
            .filter(move |(_, base)| base.kind != "nat" || kind != Kind::PacketTooBig)
            .filter(move |(_, base)| base.hook.eq_ignore_ascii_case(hook))
            .filter(move |(_, base)| {
                let device = facts.iif().filter(|it| !it.is_empty()).or(facts.oif());
                let is_its = |device: &str| base.devices.iter().any(|it| it == device);
                base.devices.is_empty() || device.is_none_or(is_its)
            })
    }
}
