//! The findings that stand at one moment, in their order.

use std::sync::Arc;

use crate::core::verdicts::analysis::Analysis;
use crate::core::verdicts::assemble::{self, sureness};
use crate::core::verdicts::verdict_index::{Group, Key};
use crate::model::finding::{Confidence, Finding, Severity, Verdict};

/// The findings that stand at one moment, worst first. To list them is cheap; each is put together
/// when it is asked for.
#[derive(Clone, Debug)]
pub struct Current {
    analysis: Analysis,
    heads: Vec<FindingHead>,
}

/// What the order of findings rests on.
#[derive(Clone, Debug)]
pub struct FindingHead {
    key: Arc<Key>,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is by now.
    pub confidence: Confidence,
    /// Whether it still goes on.
    pub ongoing: bool,
    /// How many connections share the cause.
    pub connections: usize,
    /// The first sign of it, ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
}

impl FindingHead {
    /// The verdict of the finding.
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
        let found = analysis.index().found(id, side)?;
        Some(Self {
            key: Arc::clone(key),
            severity: found.severity,
            confidence: sureness(analysis.state(), found),
            ongoing: found.trouble.ongoing,
            connections: group.connections(),
            first_ns: group.first_ns(),
        })
    }
}

impl Current {
    /// Of an analysis in which everything has been asked that had to be.
    pub(crate) fn new(analysis: Analysis) -> Self {
        let groups = analysis.index().groups();
        let mut heads: Vec<FindingHead> = groups
            .filter_map(|(key, group)| FindingHead::new(&analysis, key, group))
            .collect();
        heads.sort_by(|a, b| {
            let rank = |head: &FindingHead| {
                let FindingHead {
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
    pub fn heads(&self) -> &[FindingHead] {
        &self.heads
    }

    /// One of them by its position, as a report has it.
    #[must_use]
    pub fn finding(&self, position: usize) -> Option<Finding> {
        let key = &self.heads.get(position)?.key;
        let (state, index) = (self.analysis.state(), self.analysis.index());
        let mut finding = assemble::finding(state, index, key, self.analysis.how(key))?;
        finding.id = format!("F{}", position + 1);
        Some(finding)
    }

    /// How many are outside of the selection.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.analysis.index().hidden()
    }
}
