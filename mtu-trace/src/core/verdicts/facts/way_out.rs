//! Whether what a sender on this host hands to IP leaves its namespace.

use crate::core::track::Outage;
use crate::core::verdicts::facts::{STALL_ATTEMPTS, STALL_NS, TrackFacts};

/// The time in which nothing leaves, which goes on; `None` while something does, or that is no stall yet.
pub(crate) fn open_outage<'a>(facts: &TrackFacts<'a>) -> Option<&'a Outage> {
    let outage = facts.track.outage.as_deref()?;
    let is_open = outage.ended_ns.is_none() && (is_stall(outage) || facts.stall().is_some());
    is_open.then_some(outage)
}

/// A time in which nothing left that is over; `None` if it was no stall.
pub(crate) fn ended_outage<'a>(facts: &TrackFacts<'a>) -> Option<&'a Outage> {
    let outage = facts.track.outage.as_deref()?;
    (outage.ended_ns.is_some() && is_stall(outage)).then_some(outage)
}

/// Whether it is seen what the way out lacks, or lacked.
pub(crate) fn lack_is_seen(facts: &TrackFacts<'_>) -> bool {
    let outage = facts.track.outage.as_ref();
    outage.is_some_and(|outage| outage.lack.is_some())
}

fn is_stall(outage: &Outage) -> bool {
    outage.attempts >= STALL_ATTEMPTS && outage.lasted_ns() >= STALL_NS
}
