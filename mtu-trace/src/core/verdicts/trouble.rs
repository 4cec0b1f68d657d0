//! What the table concludes, and of what.

use std::sync::Arc;

use crate::core::sites::Predicted;
use crate::core::track::SiteDrops;
use crate::core::verdicts::cause::Cause;
use crate::core::verdicts::facts::{Stall, TrackFacts};
use crate::model::finding::{Confidence, Severity, Verdict};

/// What the table says of one direction of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    pub verdict: Verdict,
    pub severity: Severity,
    /// How sure it is, if no record was lost.
    pub confidence: Confidence,
    pub trouble: Trouble,
}

/// What ails one direction of a connection, and since when.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    pub cause: Cause,
    pub ongoing: bool,
    /// The first sign of it, ns.
    pub first_ns: u64,
    /// The latest sign of it, ns; `None` while it can be seen at any moment.
    pub last_ns: Option<u64>,
    /// How often the same sequence number was lost; 0 where that is not known.
    pub attempts: u32,
    /// The sequence number; `None` where it does not matter or is not known.
    pub seq: Option<u32>,
    /// The place as the network stands, where no drop shows it.
    pub predicted: Option<Arc<Predicted>>,
}

impl Trouble {
    /// Trouble that is over, between its first and its latest sign, ns.
    pub(crate) fn over(cause: Cause, first_ns: u64, last_ns: u64) -> Self {
        Self {
            cause,
            ongoing: false,
            first_ns,
            last_ns: Some(last_ns),
            attempts: 0,
            seq: None,
            predicted: None,
        }
    }

    /// Packets that were dropped for their size at a place, until the latest sign of it, ns.
    pub(crate) fn at_site(drops: &SiteDrops, last_ns: u64) -> Self {
        Self::over(Cause::Site(drops.site.key.clone()), drops.first_ns, last_ns)
    }

    /// Trouble that is seen at this very moment, since its first sign, ns.
    pub(crate) fn lasting(cause: Cause, first_ns: u64) -> Self {
        Self {
            ongoing: true,
            last_ns: None,
            ..Self::over(cause, first_ns, first_ns)
        }
    }

    /// A stall, with its cause.
    pub(crate) fn stall(facts: &TrackFacts<'_>, stall: &Stall, cause: Cause) -> Self {
        Self {
            ongoing: facts.is_ongoing(stall.first_ns, stall.last_ns),
            attempts: stall.attempts,
            seq: stall.seq,
            ..Self::over(cause, stall.first_ns, stall.last_ns)
        }
    }
}
