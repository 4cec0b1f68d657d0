//! The packet filter of a namespace: what its rules do to one packet, before that packet is sent.
//!
//! Path MTU discovery lives on one ICMP message per route, and most firewalls that break it do so by
//! a rule nobody thought of in these terms. [`crate::host::firewall`] takes the rules of a namespace,
//! from nftables and from both variants of iptables; [`Firewall::fate`] follows a made-up message
//! through them, and [`Firewall::clamp`] a made-up SYN.
//!
//! What a rule depends on may not be known (a mark, a route, a rate), so conditions are true, false
//! or unknown, and so is the answer: it is certain only if it holds whatever the unknown ones are.
//!
//! Left out: tables of the family `arp`, and that a namespace can have its rules changed between two
//! reads. Tables of `bridge` and `netdev` see frames: only packets that were seen there are asked about.
//!
//! [`Firewall::culprits`] goes the other way: of a packet that was seen to be dropped, it says by which
//! rules that can have been.

pub(crate) mod dialect;
pub(crate) mod engine;
pub(crate) mod iptables;
pub(crate) mod logic;
pub(crate) mod names;
pub(crate) mod nft;
pub(crate) mod packet;
pub(crate) mod seen;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) use packet::HookFamily;
pub use packet::{Kind, NetfilterHook, QueriedPacket};

use crate::core::firewall::engine::{BUDGET, Outcome};
use crate::core::firewall::logic::Bits;
use crate::core::firewall::packet::Facts;
use crate::core::firewall::table::FirewallTable;

/// What becomes of a packet at one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// No rule stops it.
    Passes,
    /// It is stopped for certain.
    Dropped(Blocking),
    /// It depends on something that is not known; says on what.
    Unknown(String),
}

/// What stops a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocking {
    /// The rule or the chain's policy in one line, fit to be shown.
    pub rule: String,
    /// Where it is: `table inet filter, chain input` or `iptables filter INPUT`.
    pub place: String,
    /// Commands that let the packet through, to be run inside the namespace. Empty if a name in
    /// them cannot be written down safely.
    pub commands: Vec<String>,
}

/// A rule that lowers the segment size a SYN announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clamp {
    /// To this size; `None` stands for what fits the path (`rt mtu`, `--clamp-mss-to-pmtu`).
    pub mss: Option<u16>,
    /// The rule in one line, fit to be shown.
    pub rule: String,
}

/// The packet filter of one namespace, at the time it was read.
#[derive(Debug, Default)]
pub struct Firewall {
    /// Those of nftables first.
    pub(crate) tables: Vec<FirewallTable>,
    pub(crate) unread: Vec<String>,
}

impl Firewall {
    /// What becomes of a packet at its hook: of all the chains there, in the kernel's order.
    ///
    /// Rules that could not be read may do anything, so without them nothing passes for certain.
    #[must_use]
    pub fn fate(&self, packet: &QueriedPacket) -> Fate {
        let mut doubt = None;
        for outcome in self.outcomes(&self.facts(packet)) {
            match outcome.fate() {
                Fate::Passes => {}
                dropped @ Fate::Dropped(_) => return dropped,
                Fate::Unknown(why) => doubt = doubt.or(Some(why)),
            }
        }
        match doubt.or_else(|| self.unread.first().cloned()) {
            Some(why) => Fate::Unknown(why),
            None => Fate::Passes,
        }
    }

    /// The first rule at the packet's hook that lowers its segment size for certain.
    ///
    /// Conditions on the size announced so far are judged for what a SYN from an Ethernet of 1500
    /// bytes announces.
    #[must_use]
    pub fn clamp(&self, packet: &QueriedPacket) -> Option<Clamp> {
        let mut outcomes = self.outcomes(&self.facts(packet)).into_iter();
        outcomes.find_map(|outcome| outcome.clamp)
    }

    /// The rules and policies that would stop a packet at its hook, or may, each in a line; empty where
    /// none does, or where it may have been something that could not be read or followed.
    #[must_use]
    pub fn culprits(&self, packet: &QueriedPacket) -> Vec<String> {
        if !self.unread.is_empty() {
            return Vec::new();
        }
        let mut all: Vec<String> = Vec::new();
        for outcome in self.outcomes(&self.facts(packet)) {
            let Some(culprits) = outcome.culprits() else {
                return Vec::new();
            };
            all.extend_from_slice(culprits);
            if outcome.is_final() {
                break;
            }
        }
        all
    }

    /// What could not be read, and why.
    #[must_use]
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    fn facts<'a>(&self, packet: &'a QueriedPacket) -> Facts<'a> {
        let mut facts = Facts::new(packet);
        if matches!(packet.kind, Kind::Seen(_)) {
            // Its state was seen as well.
            return facts;
        }
        // Being exempt from connection tracking is decided before the hooks of other rules.
        let before = match packet.hook {
            NetfilterHook::Input | NetfilterHook::Forward => NetfilterHook::Prerouting,
            NetfilterHook::Postrouting if packet.iif.is_some() => NetfilterHook::Prerouting,
            NetfilterHook::Postrouting => NetfilterHook::Output,
            // Before these nothing is exempted, and frames of bridges and devices are not tracked.
            _ => return facts,
        };
        let there = self.outcomes(&Facts {
            hook: before,
            ..facts
        });
        if there.iter().any(|outcome| outcome.untracked) {
            facts.state = Bits::UNKNOWN;
        }
        facts
    }

    /// What each base chain at the hook does, in the kernel's order.
    fn outcomes(&self, facts: &Facts<'_>) -> Vec<Outcome> {
        let mut chains: Vec<_> = self
            .tables
            .iter()
            .flat_map(|table| table.base_chains(facts).map(move |chain| (table, chain)))
            .collect();
        chains.sort_by_key(|(_, (_, base))| base.priority);
        let mut facts = *facts;
        let mut budget = BUDGET;
        let followed = chains.into_iter().map(|(table, chain)| {
            let outcome = engine::run(table, chain, &facts, &mut budget);
            if outcome.untracked && !matches!(facts.packet.kind, Kind::Seen(_)) {
                facts.state = Bits::UNKNOWN;
            }
            outcome
        });
        followed.collect()
    }
}
