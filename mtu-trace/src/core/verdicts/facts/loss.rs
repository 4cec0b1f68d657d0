//! Losses that are no matter of size, and waits that are no losses.

use crate::core::track::{OtherDrops, OtherKey, Track};
use crate::core::verdicts::drop_reason::DropReason;
use crate::core::verdicts::facts::TrackFacts;
use crate::model::finding::Carried;

/// Segments sent again, or dropped, that are worth a word. A choice: fewer are daily life, and a
/// connection that loses no more hardly suffers.
const LEAST_LOSSES: u64 = 3;
/// One in so many of the segments sent again must really have been lost; otherwise the sender was
/// impatient. A choice: reordering, which makes most resends needless, is told from loss.
const LEAST_LOST_SHARE: u64 = 4;
/// How long a SYN stays unanswered before that is worth a word, ns, counted from its first resend,
/// which the kernel makes after a second (`TCP_TIMEOUT_INIT`). A choice: a slow answer is no timeout.
const HANDSHAKE_NS: u64 = 500_000_000;
/// How long a closed window is daily life, ns. A choice: a receiver is busy for a moment.
const WINDOW_NS: u64 = 1_000_000_000;
/// Errors (errno) by which a connection ends that neither end closed: EPIPE, ECONNABORTED,
/// ECONNRESET, ETIMEDOUT, EHOSTUNREACH.
const ABORTED: [u32; 5] = [32, 103, 104, 110, 113];

pub(crate) fn syn_is_unanswered(facts: &TrackFacts<'_>) -> bool {
    let (Some(sent), Some(sender)) = (&facts.track.retransmits, facts.sender()) else {
        return false;
    };
    sent.handshake > 0
        && !sender.established
        && facts.is_past(sent.first_ns.saturating_add(HANDSHAKE_NS))
}

/// Whether drops for other reasons are worth a word. SYNs from outside that a firewall refuses are
/// not: that is what it is for.
pub(crate) fn other_drop_matters(facts: &TrackFacts<'_>) -> bool {
    worst_other(facts.track).is_some_and(|(_, drops)| {
        facts.resends() > 0 || (drops.count >= LEAST_LOSSES && !drops.syn)
    })
}

/// Whether segments were lost that got through when they were sent again. What came twice had not
/// been lost. Two ends on one host and no drop between them is still a loss.
pub(crate) fn segments_were_lost(facts: &TrackFacts<'_>) -> bool {
    facts.track.retransmits.as_ref().is_some_and(|sent| {
        let resent = sent.count.saturating_sub(sent.handshake);
        // Both tell of the same segments.
        let needless = duplicates(facts.track).max(facts.track.duplicates.told());
        let lost = resent.saturating_sub(needless);
        lost >= LEAST_LOSSES
            && lost.saturating_mul(LEAST_LOST_SHARE) >= resent
            && sent.repeats.recoveries > 0
    })
}

/// Since when the peer of a sender here has had no room, ns; `None` while that is daily life.
pub(crate) fn window_closed_ns(facts: &TrackFacts<'_>) -> Option<u64> {
    let sender = facts.sender()?;
    let since_ns = sender
        .window_closed_ns
        .filter(|_| sender.closed.is_none())?;
    let is_long = facts.is_past(since_ns.saturating_add(WINDOW_NS));
    is_long.then_some(since_ns)
}

pub(crate) fn is_cut_off(facts: &TrackFacts<'_>) -> bool {
    let (Some(sent), Some(sender)) = (&facts.track.retransmits, facts.sender()) else {
        return false;
    };
    let error = sender.closed.as_ref().map(|closed| closed.error);
    let is_aborted = error.is_some_and(|error| ABORTED.contains(&error));
    sender.established && sent.tried() > sent.handshake && is_aborted
}

/// Segments that came twice: what was sent again had not been lost (RFC 2883, RFC 3522).
fn duplicates(track: &Track) -> u64 {
    const TWICE: &[&str] = &["TCP_OLD_DATA", "TCP_OLD_SEQUENCE", "TCP_OFOMERGE"];
    let is_twice = |key: &OtherKey| key.reason.as_deref().is_some_and(|it| TWICE.contains(&it));
    let twice = track.other.iter().filter(|(key, _)| is_twice(key));
    twice.map(|(_, drops)| drops.count).sum()
}

/// How functions begin that free packets at their end, or copies of others: what a device takes up that
/// is for another host, what a capture has no room for, what a socket has already.
const ENDS: &[&str] = &[
    "ip_rcv",
    "ip6_rcv",
    "ipv6_rcv",
    "ip_local_deliver",
    "ip6_input",
    "packet_rcv",
    "tpacket_rcv",
    "tcp_",
    "br_flood",
    "skb_release_data",
];

/// A place where packets were dropped for another reason than their size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LostAt<'a> {
    pub(crate) key: &'a OtherKey,
    pub(crate) drops: &'a OtherDrops,
    /// What the packets carried.
    pub(crate) carried: Carried,
}

impl<'a> LostAt<'a> {
    /// What is known of drops at a place, of one direction of a connection or of the answers to it;
    /// `None` where neither had any.
    pub(crate) fn find(facts: &TrackFacts<'a>, key: &OtherKey) -> Option<Self> {
        let own = || facts.track.other.get_key_value(key);
        let answers = || answers(facts).and_then(|it| it.other.get_key_value(key));
        let (found, on_syn) = match own() {
            Some(found) => (found, Carried::Syn),
            None => (answers()?, Carried::SynAck),
        };
        let (key, drops) = found;
        // Of a connection that came up all the same, data is what it misses.
        let waits = facts.sender().is_none_or(|sender| !sender.established);
        let carried = if drops.syn && waits {
            on_syn
        } else {
            Carried::Data
        };
        Some(Self {
            key,
            drops,
            carried,
        })
    }
}

/// What is known of the other direction, while a sender waits for the answer to its SYN.
fn answers<'a>(facts: &TrackFacts<'a>) -> Option<&'a Track> {
    let waits = facts.sender().is_some_and(|sender| !sender.established);
    waits.then(|| facts.connection.track(facts.side.flip()))
}

/// The place where the SYN was dropped, or else the answer to it; `None` where neither was.
pub(crate) fn dropped_in_handshake<'a>(facts: &TrackFacts<'a>) -> Option<&'a OtherKey> {
    let answer = || worst_other(answers(facts)?).filter(|(_, drops)| drops.syn);
    let dropped = worst_other(facts.track).or_else(answer)?;
    Some(dropped.0)
}

/// The place where most packets of this direction die for another reason than their size.
pub fn worst_other(track: &Track) -> Option<(&OtherKey, &OtherDrops)> {
    let others = track.other.iter();
    let lost = others.filter_map(|(key, drops)| Some((losses(key, drops)?, key, drops)));
    let worst = lost.max_by_key(|(losses, _, drops)| (*losses, drops.last_ns));
    worst.map(|(_, key, drops)| (key, drops))
}

/// How many of these drops surely were losses; `None` where they explain none.
fn losses(key: &OtherKey, drops: &OtherDrops) -> Option<u64> {
    if key.hook.is_some() || DropReason::of(key).is_some() {
        return Some(drops.count);
    }
    let resent = drops.retransmitted.resent;
    let is_at_its_end = ENDS.iter().any(|start| key.function.starts_with(start));
    (resent >= LEAST_LOSSES && !is_at_its_end).then_some(resent)
}
