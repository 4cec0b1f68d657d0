//! Follows a packet through the chains of one table, whichever tool wrote them.
//!
//! The walk takes the way the packet goes if nothing unknown holds, and notes on the side what
//! else could happen to it. A namespace's rules may be made to be hard: the walk is bounded in
//! depth and in steps.

use crate::core::firewall::logic::Truth;
use crate::core::firewall::packet::Facts;
use crate::core::firewall::{Blocking, Clamp, Fate};

/// More than the 16 jumps that the kernel allows.
const DEPTH: usize = 32;
/// What one packet may cost in all base chains together, see [`Rules::cost`].
pub const BUDGET: usize = 2_000_000;

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

/// The chains of a table.
pub trait Rules {
    /// How many rules a chain has, if there is such a chain.
    fn length(&self, chain: &str) -> Option<usize>;
    /// What it costs to judge a rule: its share of [`BUDGET`], about one for each comparison.
    fn cost(&self, chain: &str, index: usize) -> usize;
    /// What a rule does, in its order: the actions and whether their conditions hold, false ones
    /// left out.
    fn actions(&self, chain: &str, index: usize, facts: &Facts<'_>) -> Vec<(Truth, RuleAction)>;
    /// A rule in one line, fit to be shown.
    fn text(&self, chain: &str, index: usize) -> String;
    /// A rule, or for `None` the policy of a base chain, that stops the packet.
    fn blocking(&self, chain: &str, index: Option<usize>, facts: &Facts<'_>) -> Blocking;
}

/// A chain that the kernel calls.
pub struct BaseChain<'a> {
    pub rules: Box<dyn Rules + 'a>,
    pub name: &'a str,
    pub policy_drops: bool,
}

/// Whether connection tracking sees the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    Tracked,
    /// Not, or it is not known.
    Unsure,
}

/// What a base chain does with a packet.
#[derive(Debug)]
pub struct Outcome {
    /// What stops it, if nothing unknown holds.
    stopped: Option<Blocking>,
    may_pass: Option<String>,
    may_drop: Option<String>,
    /// The first clamp that is certain.
    pub clamp: Option<Clamp>,
    pub tracking: Tracking,
}

impl Outcome {
    pub fn fate(self) -> Fate {
        match (self.stopped, self.may_pass, self.may_drop) {
            (Some(_), Some(why), _) | (None, _, Some(why)) => Fate::Unknown(why),
            (Some(blocking), None, _) => Fate::Dropped(blocking),
            (None, _, None) => Fate::Passes,
        }
    }
}

impl BaseChain<'_> {
    /// Follows a packet and takes what that costs off the budget.
    pub fn run(&self, facts: &Facts<'_>, budget: &mut usize) -> Outcome {
        let mut walk = Walk {
            rules: self.rules.as_ref(),
            facts,
            budget,
            because: None,
            doubt: false,
            outcome: Outcome {
                stopped: None,
                may_pass: None,
                may_drop: None,
                clamp: None,
                tracking: Tracking::Tracked,
            },
        };
        let (end, early) = walk.chain(self.name, 0);
        let policy = self
            .policy_drops
            .then(|| self.rules.blocking(self.name, None, facts));
        let mut outcome = walk.outcome;
        if let Some(why) = early {
            let may = if self.policy_drops {
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
            End::Return => policy,
        };
        outcome
    }
}

enum End {
    Accept,
    Drop(Blocking),
    Return,
}

struct Walk<'a> {
    rules: &'a dyn Rules,
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
        let Some(length) = self.rules.length(name).filter(|_| depth < DEPTH) else {
            self.may_anything("a chain that cannot be followed".to_owned());
            return (End::Return, None);
        };
        for index in 0..length {
            let Some(left) = self.budget.checked_sub(self.rules.cost(name, index)) else {
                *self.budget = 0;
                self.may_anything("more rules than can be followed".to_owned());
                return (End::Return, early);
            };
            *self.budget = left;
            for (truth, action) in self.rules.actions(name, index, self.facts) {
                let end = match truth {
                    Truth::False => None,
                    Truth::True => self.surely(name, index, action, depth, &mut early),
                    Truth::Unknown => {
                        self.maybe(name, index, &action, depth, &mut early);
                        None
                    }
                };
                if let Some(end) = end {
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
        index: usize,
        action: RuleAction,
        depth: usize,
        early: &mut Option<String>,
    ) -> Option<End> {
        match action {
            RuleAction::Accept => Some(End::Accept),
            RuleAction::Drop => Some(End::Drop(self.rules.blocking(
                chain,
                Some(index),
                self.facts,
            ))),
            RuleAction::Return => Some(End::Return),
            RuleAction::Jump(target) => match self.chain(&target, depth + 1) {
                (End::Return, _) => None,
                (end, None) => Some(end),
                (end, Some(why)) => {
                    self.may_end(&end, why);
                    None
                }
            },
            RuleAction::Goto(target) => {
                let (end, why) = self.chain(&target, depth + 1);
                *early = early.take().or(why);
                Some(end)
            }
            RuleAction::Clamp(mss) => {
                if self.because.is_none() && !self.doubt && self.outcome.clamp.is_none() {
                    let rule = self.rules.text(chain, index);
                    self.outcome.clamp = Some(Clamp { mss, rule });
                }
                None
            }
            RuleAction::Untrack => {
                self.outcome.tracking = Tracking::Unsure;
                None
            }
            RuleAction::Obscure => {
                let why = self.why(chain, index);
                self.may_anything(why);
                None
            }
        }
    }

    /// Notes what an action would do.
    fn maybe(
        &mut self,
        chain: &str,
        index: usize,
        action: &RuleAction,
        depth: usize,
        early: &mut Option<String>,
    ) {
        let why = self.why(chain, index);
        match action {
            RuleAction::Accept => self.may_end(&End::Accept, why),
            RuleAction::Drop => {
                self.outcome.may_drop.get_or_insert(why);
            }
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
                    early.get_or_insert(why.clone());
                }
                if !matches!(end, End::Return) {
                    self.may_end(&end, why);
                }
            }
            RuleAction::Clamp(_) => {}
            RuleAction::Untrack => self.outcome.tracking = Tracking::Unsure,
            RuleAction::Obscure => self.may_anything(why),
        }
    }

    fn why(&self, chain: &str, index: usize) -> String {
        self.because
            .clone()
            .unwrap_or_else(|| self.rules.text(chain, index))
    }

    fn may_end(&mut self, end: &End, why: String) {
        match end {
            End::Accept => {
                self.doubt = true;
                self.outcome.may_pass.get_or_insert(why);
            }
            End::Drop(_) => {
                self.outcome.may_drop.get_or_insert(why);
            }
            End::Return => {}
        }
    }

    fn may_anything(&mut self, why: String) {
        self.doubt = true;
        self.outcome.may_pass.get_or_insert(why.clone());
        self.outcome.may_drop.get_or_insert(why);
    }
}
