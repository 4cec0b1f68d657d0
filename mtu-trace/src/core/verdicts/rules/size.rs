//! Packets too big for a link: what does not get through, and what does in the end.

use std::sync::Arc;

use crate::{
    core::{
        track::Connection,
        verdicts::{
            predicted,
            rules::{
                Case, Cause, Match, STALL_ATTEMPTS, STALL_NS, Stall, is_ongoing, is_stall,
                loss::worst_other,
            },
        },
    },
    model::{
        event::{Flow, UDP, hook},
        finding::{Confidence, Severity},
        network::NetnsId,
    },
};

/// Options that a segment may carry besides those that are taken off its size beforehand: selective
/// acknowledgements (RFC 2018), bytes.
const OPTIONS_BYTES: u32 = 40;
/// Losses of one segment so far apart are of a second timeout or a later one, as where a trace begins
/// in the middle of a stall: the first comes after a second where no round trip was measured, after three
/// where a SYN was sent again (RFC 6298, sections 2 and 5.7), ns.
const LATER_TIMEOUT_NS: u64 = 3_500_000_000;
/// A gap that is not filled for so long has outlived three timeouts of any sender (0.2, 0.6 and
/// 1.4 s after the loss at the kernel's smallest timeout), ns.
const GAP_NS: u64 = 3_000_000_000;

pub(crate) fn mtu_black_hole(case: &Case<'_>) -> Option<Match> {
    let site = case.track.worst_site()?;
    let dying = dying(case, site.site.fits_bytes())?;
    // That nothing gets through is known from a socket of this host with its sequence numbers;
    // without one, only from the packets that die again and again.
    let watched =
        case.connection.ends.iter().any(|end| {
            end.retransmit.is_some() || (end.socket.isn.is_some() && end.sample.is_some())
        });
    let watched = watched && is_surely_its(case, site.site.key.netns);
    let confidence = match (watched, site.site.known_function) {
        (true, true) => Confidence::Confirmed,
        (true, false) | (false, true) => Confidence::Likely,
        (false, false) => Confidence::Suspected,
    };
    Some(case.stalled(&dying, confidence, Cause::Site(site.site.key.clone())))
}

/// The stall of a sender whose packets die for their size: one dies again and again; or it has died
/// once, and its sender has been timing out before and goes on to, with packets that do not fit.
fn dying(case: &Case<'_>, fits_bytes: u32) -> Option<Stall> {
    let open = case.track.holes.open?;
    let dying = Stall {
        first_ns: open.first_ns,
        last_ns: open.last_ns,
        attempts: open.attempts,
        seq: Some(open.seq),
    };
    // What its socket knows of it began before, if the trace began in its middle.
    let whole = case.stall().map(|known| Stall {
        first_ns: known.first_ns.min(open.first_ns),
        last_ns: known.last_ns.max(open.last_ns),
        attempts: known.attempts.max(open.attempts),
        seq: Some(open.seq),
    });
    let apart_ns = open.last_ns.saturating_sub(open.first_ns);
    if is_stall(&open) || (open.attempts > 1 && apart_ns >= LATER_TIMEOUT_NS) {
        return Some(whole.unwrap_or(dying));
    }
    // A sender on this host that was told has come down by the time its socket is asked again.
    let waits = case.track.waits?;
    let sample = case.connection.sender(case.side)?.sample.as_ref()?;
    if waits.last_ns <= open.last_ns || predicted::packet_bytes(sample) <= fits_bytes {
        return None;
    }
    whole
}

/// Whether a packet seen in a namespace is surely of this connection: by sequence numbers, or by the
/// very addresses of an end. Behind a NAT the port alone is not proof.
fn is_surely_its(case: &Case<'_>, netns: NetnsId) -> bool {
    let Connection { ends, seen_as, .. } = case.connection;
    ends.iter().any(|end| {
        let own = end.socket.flow;
        let is_own = |seen: &Flow| {
            let turned = seen.reversed();
            [*seen, turned]
                .iter()
                .any(|seen| (seen.source, seen.destination) == (own.source, own.destination))
        };
        let here = |seen: &&Flow| seen.netns == netns;
        end.socket.isn.is_some() || seen_as.iter().filter(here).any(is_own)
    })
}

/// Datagrams that die again and again: nobody on this host acknowledges them, so that the sender does
/// not come down is seen from their number alone.
pub(crate) fn datagram_black_hole(case: &Case<'_>) -> Option<Match> {
    let site = case.track.worst_site()?;
    let lasted = site.last_ns.saturating_sub(site.first_ns);
    let again = site.count >= u64::from(STALL_ATTEMPTS) && lasted >= STALL_NS;
    if !again || case.flow()?.protocol != UDP {
        return None;
    }
    let unheard = site.site.kind.is_silent() || !case.track.icmp.blocked.is_empty();
    let ongoing = is_ongoing(case, site.first_ns, site.last_ns);
    let heeded = case.track.icmp.is_heeded(site.site.fits_bytes());
    let told = heeded || (case.track.icmp.generated > 0 && !unheard);
    // A sender that was told and has stopped has come down, or has nothing more to say.
    if told && !ongoing {
        return None;
    }
    let confidence = if unheard && site.site.known_function {
        Confidence::Likely
    } else {
        Confidence::Suspected
    };
    Some(Match {
        severity: Severity::Error,
        confidence,
        cause: Cause::Site(site.site.key.clone()),
        ongoing,
        first_ns: site.first_ns,
        last_ns: Some(site.last_ns),
        attempts: u32::try_from(site.count).unwrap_or(u32::MAX),
        seq: None,
        foreseen: None,
    })
}

/// The place is not seen, because it is beyond this host or a tunnel drops without a word, but the
/// message from there is dropped here.
pub(crate) fn unheard_message(case: &Case<'_>) -> Option<Match> {
    let blocked = &case.track.icmp.blocked;
    let worst = blocked.iter().max_by_key(|blocked| blocked.count)?;
    let stall = case.stall()?;
    if case.track.worst_site().is_some() {
        return None;
    }
    let cause = Cause::Message(worst.netns, worst.function.clone(), worst.hook);
    Some(Match {
        foreseen: predicted::by_message(case).map(Arc::new),
        ..case.stalled(&stall, Confidence::Likely, cause)
    })
}

/// Drops cannot be seen at all, but packets of a stalled sender pass by that are too long for what
/// lies ahead.
pub(crate) fn unseen_drops(case: &Case<'_>) -> Option<Match> {
    let passing = case.track.passing.as_ref()?;
    let repeated = case.track.passed.open.filter(is_stall);
    let repeated = repeated.map(|open| Stall {
        first_ns: open.first_ns,
        last_ns: open.last_ns,
        attempts: open.attempts,
        seq: Some(open.seq),
    });
    // A sender on this host knows better what gets through.
    let stall = match case.connection.sender(case.side) {
        Some(_) => case.stall()?,
        None => repeated?,
    };
    let cause = Cause::Site(passing.site.key.clone());
    Some(case.stalled(&stall, Confidence::Suspected, cause))
}

/// Full-size segments get nowhere while small ones did or do, and nothing is dropped here.
pub(crate) fn remote_black_hole(case: &Case<'_>) -> Option<Match> {
    let sender = case.connection.sender(case.side)?;
    let sent = case.track.retransmits.as_ref()?;
    let stall = case.stall()?;
    let full = sent.payload_bytes > 0
        && sent.payload_bytes.saturating_add(OPTIONS_BYTES) >= sent.first_mss;
    // One full-size segment that got through shows that the way carries them.
    let small_only = sent.bytes_acked < u64::from(sent.first_mss) || sent.sacked;
    if !sender.established || !full || !small_only || is_explained(case) {
        return None;
    }
    Some(case.stalled(&stall, Confidence::Suspected, case.peer()))
}

/// The same from the receiver's side: what lies behind a gap arrives, what would fill it never does.
pub(crate) fn unfilled_gap(case: &Case<'_>) -> Option<Match> {
    let receiver = case.connection.receiver(case.side)?;
    let since_ns = receiver.gap_ns.filter(|_| receiver.closed.is_none())?;
    let sender_is_here = case.connection.sender(case.side).is_some();
    if sender_is_here || !case.is_past(since_ns.saturating_add(GAP_NS)) || is_explained(case) {
        return None;
    }
    Some(Match {
        severity: Severity::Error,
        confidence: Confidence::Suspected,
        cause: case.peer(),
        ongoing: true,
        first_ns: since_ns,
        last_ns: None,
        attempts: 0,
        seq: None,
        foreseen: None,
    })
}

/// Whether something on this host explains a stall, or would not have been seen.
fn is_explained(case: &Case<'_>) -> bool {
    case.state.is_blind(hook::DROPS)
        || case.track.worst_site().is_some()
        || worst_other(case.track).is_some()
        || !case.track.icmp.blocked.is_empty()
}

pub(crate) fn pmtud_slow(case: &Case<'_>) -> Option<Match> {
    let site = case.track.worst_site()?;
    let worst = case.track.holes.worst?;
    if worst.attempts < STALL_ATTEMPTS || worst.took_ns < STALL_NS {
        return None;
    }
    Some(Match {
        severity: Severity::Warning,
        confidence: Confidence::Confirmed,
        cause: Cause::Site(site.site.key.clone()),
        ongoing: false,
        first_ns: site.first_ns,
        last_ns: Some(worst.at_ns),
        attempts: worst.attempts,
        seq: None,
        foreseen: None,
    })
}

pub(crate) fn pmtud_working(case: &Case<'_>) -> Option<Match> {
    let site = case.track.worst_site()?;
    let recovery = case.track.holes.worst;
    let datagrams = case.flow()?.protocol == UDP;
    // That it got through must have been seen: silence may be a sender that gave up.
    if case.track.holes.open.is_some() || (recovery.is_none() && !datagrams) {
        return None;
    }
    // Of datagrams it is not seen: those that are no longer too big are nobody's business here.
    let icmp = &case.track.icmp;
    let told =
        icmp.is_heeded(site.site.fits_bytes()) || (icmp.generated > 0 && icmp.blocked.is_empty());
    if datagrams && (!told || is_ongoing(case, site.first_ns, site.last_ns)) {
        return None;
    }
    let confidence = if datagrams {
        Confidence::Suspected
    } else {
        Confidence::Confirmed
    };
    Some(Match {
        severity: Severity::Info,
        confidence,
        cause: Cause::Site(site.site.key.clone()),
        ongoing: false,
        first_ns: site.first_ns,
        last_ns: Some(recovery.map_or(site.last_ns, |recovery| recovery.at_ns.max(site.last_ns))),
        attempts: recovery.map_or(0, |recovery| recovery.attempts),
        seq: None,
        foreseen: None,
    })
}

/// The same beyond this host: after several timeouts the segments became smaller and got through.
pub(crate) fn came_down_late(case: &Case<'_>) -> Option<Match> {
    let sent = case.track.retransmits.as_ref()?;
    let worst = sent.repeats.worst?;
    let smaller = case
        .track
        .sender_mss
        .is_some_and(|mss| mss < sent.first_mss);
    if worst.attempts < STALL_ATTEMPTS || worst.took_ns < STALL_NS || !smaller {
        return None;
    }
    Some(Match {
        severity: Severity::Warning,
        confidence: Confidence::Likely,
        cause: case.peer(),
        ongoing: false,
        first_ns: sent.first_ns,
        last_ns: Some(worst.at_ns),
        attempts: worst.attempts,
        seq: None,
        foreseen: None,
    })
}
