//! Follows a packet through the chains of one table.
//!
//! The walk takes the way the packet goes if nothing unknown holds, and notes on the side what
//! else could happen to it. A namespace's rules may be made to be hard: the walk is bounded in
//! depth and in steps.

use crate::core::firewall::packet::Facts;
use crate::core::firewall::table::{BaseChain, FirewallRule, FirewallTable, RuleAction};
use crate::core::firewall::{Blocking, Clamp, Fate};

/// More than the 16 jumps that the kernel allows.
const DEPTH: usize = 32;
/// What one packet may cost in all base chains together, see [`FirewallRule::cost`].
pub const BUDGET: usize = 2_000_000;

/// What a base chain does with a packet.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What stops it, if nothing unknown holds.
    stopped: Option<Blocking>,
    may_pass: Option<String>,
    may_drop: Option<String>,
    /// The first clamp that is certain.
    pub clamp: Option<Clamp>,
    /// Whether connection tracking may have been told to leave the packet alone.
    pub untracked: bool,
    /// The rules and policies that stop the packet or may, each once, in the order of the walk.
    culprits: Vec<String>,
    /// Whether something else may stop it that is no rule that could be followed.
    lost: bool,
}

/// Culprits that are kept of one chain. A choice: so many are no help to find the one.
const MOST_CULPRITS: usize = 16;

impl Outcome {
    /// What stops the packet or may; `None` if that may be something that could not be followed.
    pub fn culprits(&self) -> Option<&[String]> {
        (!self.lost && self.culprits.len() < MOST_CULPRITS).then_some(&self.culprits)
    }

    /// Whether nothing behind this chain can have seen the packet.
    pub fn is_final(&self) -> bool {
        self.stopped.is_some() && self.may_pass.is_none()
    }

    fn accuse(&mut self, culprit: String) {
        if self.culprits.len() < MOST_CULPRITS && !self.culprits.contains(&culprit) {
            self.culprits.push(culprit);
        }
    }

    pub fn fate(self) -> Fate {
        match (self.stopped, self.may_pass, self.may_drop) {
            (Some(_), Some(why), _) | (None, _, Some(why)) => Fate::Unknown(why),
            (Some(blocking), None, _) => Fate::Dropped(blocking),
            (None, _, None) => Fate::Passes,
        }
    }
}

/// Follows a packet from a base chain on, and takes what that costs off the budget.
pub fn run(
    table: &FirewallTable,
    (name, base): (&str, &BaseChain),
    facts: &Facts<'_>,
    budget: &mut usize,
) -> Outcome {
    let mut walk = Walk {
        table,
        facts,
        budget,
        because: None,
        doubt: false,
        outcome: Outcome::default(),
    };
    let (end, early) = walk.chain(name, 0);
    let mut outcome = walk.outcome;
    if base.drops && (early.is_some() || matches!(end, End::Return)) {
        outcome.accuse(table.culprit(name, None));
    }
    if let Some(why) = early {
        let may = if base.drops {
            &mut outcome.may_drop
        } else {
            &mut outcome.may_pass
        };
        may.get_or_insert(why);
    }
    outcome.stopped = match end {
        End::Accept => None,
        End::Drop(blocking) => Some(blocking),
        // The end of the rules, by whichever way.
        End::Return => base.drops.then(|| table.blocking(name, None, facts)),
    };
    outcome
}

enum End {
    Accept,
    Drop(Blocking),
    Return,
}

struct Walk<'a> {
    table: &'a FirewallTable,
    facts: &'a Facts<'a>,
    budget: &'a mut usize,
    /// The rule on whose unknown condition the present place depends.
    because: Option<String>,
    /// Whether the packet may have gone another way before.
    doubt: bool,
    outcome: Outcome,
}

impl Walk<'_> {
    /// How a chain ends, and, if it may return before that, by which rule.
    fn chain(&mut self, name: &str, depth: usize) -> (End, Option<String>) {
        let mut early = None;
        let table = self.table;
        let Some(chain) = table.chains.get(name).filter(|_| depth < DEPTH) else {
            self.outcome.lost = true;
            self.may_anything("a chain that cannot be followed".to_owned());
            return (End::Return, None);
        };
        for rule in &chain.rules {
            let Some(left) = self.budget.checked_sub(rule.cost(table)) else {
                *self.budget = 0;
                self.outcome.lost = true;
                self.may_anything("more rules than can be followed".to_owned());
                return (End::Return, early);
            };
            *self.budget = left;
            for (holds, action) in rule.actions(table, self.facts) {
                if matches!(action, RuleAction::Drop | RuleAction::Obscure) {
                    self.outcome.accuse(table.culprit(name, Some(rule)));
                }
                if holds.is_none() {
                    self.maybe(rule, &action, depth, &mut early);
                } else if let Some(end) = self.surely(name, rule, action, depth, &mut early) {
                    return (end, early);
                }
            }
        }
        (End::Return, early)
    }

    /// Takes an action; `Some` if it ends the chain.
    fn surely(
        &mut self,
        chain: &str,
        rule: &FirewallRule,
        action: RuleAction,
        depth: usize,
        early: &mut Option<String>,
    ) -> Option<End> {
        match action {
            RuleAction::Accept => return Some(End::Accept),
            RuleAction::Drop => {
                let blocking = self.table.blocking(chain, Some(rule), self.facts);
                return Some(End::Drop(blocking));
            }
            RuleAction::Return => return Some(End::Return),
            RuleAction::Jump(target) => match self.chain(&target, depth + 1) {
                (End::Return, _) => {}
                (end, None) => return Some(end),
                (end, Some(why)) => self.may_end(&end, why),
            },
            RuleAction::Goto(target) => {
                let (end, why) = self.chain(&target, depth + 1);
                *early = early.take().or(why);
                return Some(end);
            }
            RuleAction::Clamp(mss) => {
                if self.because.is_none() && !self.doubt && self.outcome.clamp.is_none() {
                    let rule = rule.text();
                    self.outcome.clamp = Some(Clamp { mss, rule });
                }
            }
            RuleAction::Untrack => self.outcome.untracked = true,
            RuleAction::Obscure => self.may_anything(self.why(rule)),
        }
        None
    }

    /// Notes what an action would do.
    fn maybe(
        &mut self,
        rule: &FirewallRule,
        action: &RuleAction,
        depth: usize,
        early: &mut Option<String>,
    ) {
        let why = self.why(rule);
        match action {
            RuleAction::Accept => self.may_end(&End::Accept, why),
            RuleAction::Drop => _ = self.outcome.may_drop.get_or_insert(why),
            RuleAction::Return => {
                self.doubt = true;
                early.get_or_insert(why);
            }
            RuleAction::Jump(target) | RuleAction::Goto(target) => {
                let outer = self.because.replace(why.clone());
                let (end, inner) = self.chain(target, depth + 1);
                self.because = outer;
                let returns = inner.is_some() || matches!(end, End::Return);
                if returns && matches!(action, RuleAction::Goto(_)) {
                    self.doubt = true;
                    early.get_or_insert_with(|| why.clone());
                }
                self.may_end(&end, why);
            }
            RuleAction::Clamp(_) => {}
            RuleAction::Untrack => self.outcome.untracked = true,
            RuleAction::Obscure => self.may_anything(why),
        }
    }

    fn why(&self, rule: &FirewallRule) -> String {
        self.because.clone().unwrap_or_else(|| rule.text())
    }

    fn may_end(&mut self, end: &End, why: String) {
        match end {
            End::Accept => {
                self.doubt = true;
                self.outcome.may_pass.get_or_insert(why);
            }
            End::Drop(_) => _ = self.outcome.may_drop.get_or_insert(why),
            End::Return => {}
        }
    }

    fn may_anything(&mut self, why: String) {
        self.outcome.may_drop.get_or_insert_with(|| why.clone());
        self.may_end(&End::Accept, why);
    }
}
