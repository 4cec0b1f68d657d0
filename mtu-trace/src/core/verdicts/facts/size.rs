//! Packets too big for a link: what does not get through, and what does in the end.

use crate::core::track::{Connection, Recovery};
use crate::core::verdicts::facts::{
    STALL_ATTEMPTS, STALL_NS, Stall, TrackFacts, is_stall, predicted,
};
use crate::model::event::Flow;
use crate::model::network::NetnsId;

/// Options that a segment may carry besides those that are taken off its size beforehand, bytes:
/// selective acknowledgements (RFC 2018).
const OPTIONS_BYTES: u32 = 40;
/// Losses of one segment so far apart, ns, are of a second timeout or a later one, as where a trace
/// begins in the middle of a stall: the first comes after a second where no round trip was measured,
/// after three where a SYN was sent again (RFC 6298, sections 2 and 5.7).
const LATER_TIMEOUT_NS: u64 = 3_500_000_000;
/// A gap that is not filled for so long, ns, has outlived three timeouts of any sender: 0.2, 0.6 and
/// 1.4 s after the loss at the kernel's smallest timeout.
const GAP_NS: u64 = 3_000_000_000;

/// The stall of a sender whose packets are dropped for their size: one is dropped again and again; or
/// it was once, and its sender has been timing out before and goes on to, with packets that do not
/// fit. `None` while there is no such stall.
pub(crate) fn oversized_stall(facts: &TrackFacts<'_>) -> Option<Stall> {
    let fits_bytes = facts.track.worst_site()?.site.fits_bytes();
    let open = facts.track.holes.open?;
    // What its socket knows of it began before, if the trace began in its middle.
    let whole = facts.stall().map(|known| Stall {
        first_ns: known.first_ns.min(open.first_ns),
        last_ns: known.last_ns.max(open.last_ns),
        attempts: known.attempts.max(open.attempts),
        seq: Some(open.seq),
    });
    let apart_ns = open.last_ns.saturating_sub(open.first_ns);
    if is_stall(&open) || (open.attempts > 1 && apart_ns >= LATER_TIMEOUT_NS) {
        return Some(whole.unwrap_or(Stall::of(&open)));
    }
    // A sender on this host that was told has come down by the time its socket is asked again.
    let waits = facts.track.waits?;
    let sample = facts.sender()?.sample.as_ref()?;
    if waits.last_ns <= open.last_ns || predicted::packet_bytes(sample) <= fits_bytes {
        return None;
    }
    whole
}

/// Whether a socket of this host with its sequence numbers shows that nothing gets through; without
/// one that is known only from the packets that are dropped again and again.
pub(crate) fn socket_is_watched(facts: &TrackFacts<'_>) -> bool {
    let mut ends = facts.connection.ends.iter();
    let watched = ends
        .any(|end| end.retransmit.is_some() || (end.socket.isn.is_some() && end.sample.is_some()));
    let site = facts.track.worst_site();
    watched && site.is_some_and(|drops| is_surely_its(facts.connection, drops.site.key.netns))
}

/// Whether a packet seen in a namespace is surely of this connection: by sequence numbers, or by the
/// very addresses of an end. Behind a NAT the port alone is not proof.
fn is_surely_its(Connection { ends, seen_as, .. }: &Connection, netns: NetnsId) -> bool {
    let addresses = |flow: &Flow| (flow.source, flow.destination);
    let here = seen_as.iter().filter(|seen| seen.netns == netns);
    ends.iter().any(|end| {
        let own = end.socket.flow;
        let own = [addresses(&own), addresses(&own.reversed())];
        end.socket.isn.is_some() || here.clone().any(|seen| own.contains(&addresses(seen)))
    })
}

pub(crate) fn drops_are_repeated(facts: &TrackFacts<'_>) -> bool {
    facts.track.worst_site().is_some_and(|drops| {
        let lasted_ns = drops.last_ns.saturating_sub(drops.first_ns);
        drops.count >= u64::from(STALL_ATTEMPTS) && lasted_ns >= STALL_NS
    })
}

pub(crate) fn drops_go_on(facts: &TrackFacts<'_>) -> bool {
    let site = facts.track.worst_site();
    site.is_some_and(|drops| facts.is_ongoing(drops.first_ns, drops.last_ns))
}

/// Whether no message can have reached the sender: the place makes none, or it was dropped.
pub(crate) fn message_is_missing(facts: &TrackFacts<'_>) -> bool {
    let site = facts.track.worst_site();
    site.is_some_and(|drops| drops.site.site.is_silent()) || !facts.track.icmp.blocked.is_empty()
}

/// Whether the sender was told: its socket or route took the limit over, or the message was sent and
/// nothing kept it back. What is made for a silent place does not go: bridge netfilter asks for a
/// message that then finds no route (`icmp6_send`).
pub(crate) fn is_told(facts: &TrackFacts<'_>) -> bool {
    let Some(drops) = facts.track.worst_site() else {
        return false;
    };
    let icmp = &facts.track.icmp;
    icmp.is_pmtu_accepted(drops.site.fits_bytes())
        || (icmp.generated > 0 && !message_is_missing(facts))
}

/// The stall of a sender of which oversized packets pass by. Of a sender on this host its socket
/// knows better what gets through than the packets do.
pub(crate) fn passing_stall(facts: &TrackFacts<'_>) -> Option<Stall> {
    facts.track.passing.as_ref()?;
    match facts.sender() {
        Some(_) => facts.stall(),
        None => Some(Stall::of(&facts.track.passed.open.filter(is_stall)?)),
    }
}

/// Whether a sender stalls that has got through what was dropped for its size: that worked, and is over.
pub(crate) fn stalled_afterwards(facts: &TrackFacts<'_>) -> bool {
    let holes = &facts.track.holes;
    let filled_ns = holes.worst.map(|worst| worst.at_ns);
    let stall = facts.stall().filter(|_| holes.open.is_none());
    stall.is_some_and(|stall| filled_ns.is_some_and(|filled_ns| stall.first_ns >= filled_ns))
}

/// Whether what got through in the end had been lost several times.
pub(crate) fn is_late(recovery: &Recovery) -> bool {
    recovery.attempts >= STALL_ATTEMPTS && recovery.took_ns >= STALL_NS
}

/// Whether the segments sent again are full-size, and none of that size was acknowledged before: one
/// that was shows that the way carries them.
pub(crate) fn full_size_is_unacknowledged(facts: &TrackFacts<'_>) -> bool {
    let (Some(sender), Some(sent)) = (facts.sender(), &facts.track.retransmits) else {
        return false;
    };
    let Some(latest) = &sender.retransmit else {
        return false;
    };
    let payload_bytes = latest.end_seq.wrapping_sub(latest.seq);
    let full_size =
        payload_bytes > 0 && payload_bytes.saturating_add(OPTIONS_BYTES) >= sent.first_mss;
    let small_only = sent.bytes_acked < u64::from(sent.first_mss) || latest.sacked_out > 0;
    sender.established && full_size && small_only
}

/// Since when a receiver here, whose sender is elsewhere, has held what lies behind a gap, ns; `None`
/// while that is not long enough for a stall.
pub(crate) fn unfilled_gap_ns(facts: &TrackFacts<'_>) -> Option<u64> {
    let receiver = facts.connection.receiver(facts.side)?;
    let since_ns = receiver.gap_ns.filter(|_| receiver.closed.is_none())?;
    let is_stall = facts.sender().is_none() && facts.is_past(since_ns.saturating_add(GAP_NS));
    is_stall.then_some(since_ns)
}

pub(crate) fn came_down_late(facts: &TrackFacts<'_>) -> bool {
    facts.track.retransmits.as_ref().is_some_and(|sent| {
        let mss = facts.track.sender_mss;
        let smaller = mss.is_some_and(|mss| mss < sent.first_mss);
        smaller && sent.repeats.worst.is_some_and(|worst| is_late(&worst))
    })
}
