//! The findings that stand at one moment, in their order.

use std::sync::Arc;

use crate::{
    core::verdicts::{
        analysis::Analysis,
        assemble,
        rules::lowered,
        verdict_index::{Group, Key},
    },
    model::finding::{Confidence, Finding, Severity, Verdict},
};

/// The findings that stand at one moment, worst first. To list them is cheap; each is put together
/// when it is asked for.
#[derive(Clone, Debug)]
pub struct Current {
    analysis: Analysis,
    heads: Vec<Head>,
}

/// What the order of findings rests on.
#[derive(Clone, Debug)]
pub struct Head {
    key: Arc<Key>,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Whether it goes on.
    pub ongoing: bool,
    /// Connections that share the cause.
    pub connections: usize,
    /// First sign, ns.
    pub first_ns: u64,
}

impl Head {
    /// What is found.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.key.0
    }

    /// Whether both are about one finding, at this moment and at another one.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }

    fn new(analysis: &Analysis, key: &Arc<Key>, group: &Group) -> Option<Self> {
        let (id, side) = group.worst()?;
        let found = analysis.judged().found(id, side)?;
        Some(Self {
            key: Arc::clone(key),
            severity: found.severity,
            confidence: lowered(analysis.state(), found.confidence),
            ongoing: found.ongoing,
            connections: group.connections(),
            first_ns: group.first_ns(),
        })
    }
}

impl Current {
    /// Of an analysis in which everything has been asked that had to be.
    pub(crate) fn new(analysis: Analysis) -> Self {
        let groups = analysis.judged().groups();
        let mut heads: Vec<Head> = groups
            .filter_map(|(key, group)| Head::new(&analysis, key, group))
            .collect();
        heads.sort_by(|a, b| {
            let rank = |head: &Head| {
                let Head {
                    severity,
                    confidence,
                    ..
                } = *head;
                (severity, confidence, head.ongoing, head.connections)
            };
            rank(b).cmp(&rank(a)).then(a.first_ns.cmp(&b.first_ns))
        });
        Self { analysis, heads }
    }

    /// All of them, in their order.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// One of them by its position, as a report has it.
    #[must_use]
    pub fn finding(&self, index: usize) -> Option<Finding> {
        let key = &self.heads.get(index)?.key;
        let (state, judged) = (self.analysis.state(), self.analysis.judged());
        let mut finding = assemble::finding(state, judged, key, self.analysis.how(key))?;
        finding.id = format!("F{}", index + 1);
        Some(finding)
    }

    /// How many are outside of the selection.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.analysis.judged().hidden()
    }
}
