//! The decision table: which facts lead to which verdict. Each verdict has a file of its own here, with
//! all that there is to say about it, and a row in the list of `model::verdict`.
//!
//! A case names the facts it needs; the first that fits a direction of a connection decides. `tests`
//! proves which cases can fit together, and says why they stand in this order.

mod connection_aborted;
mod handshake_timeout;
mod local_drop;
mod mtu_black_hole;
mod mtu_mismatch;
mod no_route;
mod packet_loss;
mod pmtud_slow;
mod pmtud_working;
mod receiver_stalled;
mod remote_black_hole;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use Confidence::{Confirmed, Likely, Suspected};
use Fact::*;
use Severity::{Error, Info, Warning};

use crate::core::verdicts::cause::Cause;
use crate::core::verdicts::facts::loss::{self, worst_other};
use crate::core::verdicts::facts::{Fact, TrackFacts, predicted, size};
use crate::core::verdicts::sentence::{Telling, packets, whereabouts};
use crate::core::verdicts::trouble::{Match, Trouble};
use crate::core::verdicts::worst::Worst;
use crate::model::finding::{
    BlockedAt, Boundary, Carried, Confidence, Direction, Finding, Fix, Pmtud, Severity,
};
use crate::model::verdict::{Verdict, verdicts};

/// All that there is to say about a verdict.
#[derive(Debug)]
pub struct VerdictEntry {
    /// How bad it can be, worst first.
    pub severities: &'static [Severity],
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// When a trace concludes it, in the order of trying; empty where the audit does (`core::audit`).
    cases: &'static [Case],
    /// The one sentence of a finding.
    pub(crate) sentence: fn(&Telling<'_>) -> String,
    /// What can be done about it, best first.
    pub(crate) fixes: fn(&Worst<'_>) -> Vec<Fix>,
}

impl VerdictEntry {
    /// What a trace does not conclude, and nobody can do anything about.
    const DEFAULT: Self = Self {
        severities: &[],
        meaning: "",
        cases: &[],
        sentence: |_| String::new(),
        fixes: |_| Vec::new(),
    };

    /// The severities by name, as in `error, warning`.
    pub fn severity_words(&self) -> String {
        let words: Vec<&str> = self.severities.iter().map(|it| it.name()).collect();
        words.join(", ")
    }
}

macro_rules! entries {
    ($($file:ident: $variant:ident = $name:literal,)+) => {
        /// All that there is to say about a verdict.
        pub fn entry(verdict: Verdict) -> &'static VerdictEntry {
            match verdict { $(Verdict::$variant => &$file::VERDICT,)+ }
        }

        /// The page about a verdict: Markdown that can be read as it is.
        pub fn page(verdict: Verdict) -> &'static str {
            match verdict {
                $(Verdict::$variant => include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/../docs/verdicts/", $name, ".md"
                )),)+
            }
        }
    };
}
verdicts!(entries);

/// A case in which a trace concludes a verdict.
#[derive(Debug)]
struct Case {
    /// What sets the case apart, unique.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the tests speak of cases by it")
    )]
    name: &'static str,
    severity: Severity,
    /// How sure it is at best.
    confidence: Confidence,
    needs: &'static [Fact],
    unless: &'static [Fact],
    /// Each of these that is missing lowers the confidence by one.
    surer_with: &'static [Fact],
    /// Describes the trouble, once the facts hold.
    describe: fn(&TrackFacts<'_>) -> Option<Trouble>,
}

const fn case(
    name: &'static str,
    severity: Severity,
    confidence: Confidence,
    describe: fn(&TrackFacts<'_>) -> Option<Trouble>,
) -> Case {
    Case {
        name,
        severity,
        confidence,
        needs: &[],
        unless: &[],
        surer_with: &[],
        describe,
    }
}

impl Case {
    const fn needs(self, needs: &'static [Fact]) -> Self {
        Self { needs, ..self }
    }

    const fn unless(self, unless: &'static [Fact]) -> Self {
        Self { unless, ..self }
    }

    const fn surer_with(self, surer_with: &'static [Fact]) -> Self {
        Self { surer_with, ..self }
    }

    fn decide(&self, verdict: Verdict, facts: &TrackFacts<'_>) -> Option<Match> {
        let holds = |fact: &Fact| facts.holds(*fact);
        if !self.needs.iter().all(holds) || self.unless.iter().any(holds) {
            return None;
        }
        let trouble = (self.describe)(facts)?;
        let missing = self.surer_with.iter().filter(|fact| !holds(fact));
        Some(Match {
            verdict,
            severity: self.severity,
            confidence: missing.fold(self.confidence, |sure, _| sure.lowered()),
            trouble,
        })
    }
}

/// Every case with its verdict, in the order of trying.
fn cases() -> impl Iterator<Item = (Verdict, &'static Case)> {
    let verdicts = Verdict::ALL.into_iter();
    verdicts.flat_map(|verdict| entry(verdict).cases.iter().map(move |case| (verdict, case)))
}

/// What the first case that fits says; `None` if none does.
pub(crate) fn decide(facts: &TrackFacts<'_>) -> Option<Match> {
    let decided = cases().find_map(|(verdict, case)| case.decide(verdict, facts));
    debug_assert!(facts.are_consistent(), "facts that contradict each other");
    decided
}
