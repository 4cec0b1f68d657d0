//! A stall of which nothing was seen, because it began before the trace.

use std::sync::Arc;

use crate::{
    core::verdicts::{
        predicted,
        rules::{Case, Cause, Match},
    },
    model::{event::hook, finding::Confidence},
};

/// The sender waits for seconds or minutes between one try and the next: but its socket tells that it has
/// been timing out, and the map that packets as long as its own do not fit through on their way. The next
/// try tells more.
pub(crate) fn foreseen_black_hole(case: &Case<'_>) -> Option<Match> {
    let sender = case.connection.sender(case.side)?;
    let sample = sender.sample.as_ref()?;
    let track = case.track;
    let waits = track.waits?;
    // Of what was sent since, its death would have been seen.
    let tried = track.retransmits.is_some() || waits.backoff > waits.first_backoff;
    let seen = tried && !case.state.is_blind(hook::DROPS);
    if seen || !(track.oversized.is_empty() && track.other.is_empty()) {
        return None;
    }
    // More than one segment, full ones but for the last, and before them none that was full got through.
    let full_bytes = sample.unacked.saturating_sub(1).saturating_mul(sample.mss);
    let full = sample.unacked > 1 && sample.outstanding_bytes > full_bytes;
    if !full || sample.bytes_acked >= u64::from(sample.mss) {
        return None;
    }
    let stall = case.stall()?;
    let foreseen = predicted::by_socket(case)?;
    let cause = Cause::Site(predicted::key(&foreseen));
    Some(Match {
        foreseen: Some(Arc::new(foreseen)),
        ..case.stalled(&stall, Confidence::Suspected, cause)
    })
}
