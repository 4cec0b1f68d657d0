//! Losses that are no matter of size, and waits that are no losses.

use crate::{
    core::{
        track::{OtherDrops, OtherKey, Track},
        verdicts::rules::{Case, Cause, Match, is_ongoing},
    },
    model::{
        event::{NO_REASON, hook},
        finding::{Confidence, Severity},
    },
};

/// Segments sent again that are worth a word; fewer are daily life.
const LOSS_RETRANSMITS: u64 = 3;
/// How long a SYN stays unanswered before that is worth a word, counted from its first resend, ns.
const HANDSHAKE_NS: u64 = 500_000_000;
/// How long a closed window is daily life: a receiver is busy for a moment, ns.
const WINDOW_NS: u64 = 1_000_000_000;
/// Errors (errno) by which a connection ends that neither end closed: EPIPE, ECONNABORTED,
/// ECONNRESET, ETIMEDOUT, EHOSTUNREACH.
const ABORTED: [u32; 5] = [32, 103, 104, 110, 113];

pub(crate) fn handshake_timeout(case: &Case<'_>) -> Option<Match> {
    let sent = case.track.retransmits.as_ref()?;
    let sender = case.connection.sender(case.side)?;
    if sent.handshake == 0
        || sender.established
        || !case.is_past(sent.first_ns.saturating_add(HANDSHAKE_NS))
    {
        return None;
    }
    Some(Match {
        severity: Severity::Warning,
        confidence: Confidence::Confirmed,
        cause: worst_other(case.track)
            .map_or_else(|| case.peer(), |(key, _)| Cause::Other(key.clone())),
        ongoing: sender.closed.is_none(),
        first_ns: sent.first_ns,
        last_ns: Some(sent.last_ns),
        attempts: u32::try_from(sent.handshake).unwrap_or(u32::MAX),
        seq: None,
        foreseen: None,
    })
}

pub(crate) fn local_drop(case: &Case<'_>) -> Option<Match> {
    let (key, drops) = worst_other(case.track)?;
    let sent = case.track.retransmits.as_ref();
    let retransmits = sent.map_or(0, |sent| sent.count);
    // SYNs from outside that a firewall refuses are what it is for.
    if retransmits == 0 && (drops.count < LOSS_RETRANSMITS || drops.syn) {
        return None;
    }
    let open = sent.and_then(|sent| sent.repeats.open);
    let stall = case.stall();
    Some(Match {
        severity: if stall.is_some() {
            Severity::Error
        } else {
            Severity::Warning
        },
        confidence: if retransmits > 0 {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        },
        cause: Cause::Other(key.clone()),
        ongoing: stall
            .as_ref()
            .is_some_and(|stall| is_ongoing(case, stall.first_ns, stall.last_ns)),
        first_ns: drops.first_ns,
        last_ns: Some(drops.last_ns.max(sent.map_or(0, |sent| sent.last_ns))),
        attempts: match &stall {
            Some(stall) => stall.attempts,
            None => open.map_or(0, |open| open.attempts),
        },
        seq: open.map(|open| open.seq),
        foreseen: None,
    })
}

pub(crate) fn packet_loss(case: &Case<'_>) -> Option<Match> {
    let sent = case.track.retransmits.as_ref()?;
    let resent = sent.count.saturating_sub(sent.handshake);
    // What came twice had not been lost; where that is most of it, the sender was impatient.
    let lost = resent.saturating_sub(duplicates(case.track));
    // Two ends on one host and no drop between them is still a loss; one that does not recover is
    // for another rule to explain.
    if lost < LOSS_RETRANSMITS || lost.saturating_mul(4) < resent || sent.repeats.recoveries == 0 {
        return None;
    }
    // What came twice, and what was dropped here, is known from drops alone.
    let confidence = if case.state.is_blind(hook::DROPS) {
        Confidence::Suspected
    } else {
        Confidence::Likely
    };
    Some(Match {
        severity: Severity::Info,
        confidence,
        cause: case.peer(),
        ongoing: false,
        first_ns: sent.first_ns,
        last_ns: Some(sent.last_ns),
        attempts: sent.repeats.worst.map_or(0, |worst| worst.attempts),
        seq: None,
        foreseen: None,
    })
}

/// The peer has no room, and does not get any for a while.
pub(crate) fn receiver_stalled(case: &Case<'_>) -> Option<Match> {
    let sender = case.connection.sender(case.side)?;
    let since_ns = sender
        .window_closed_ns
        .filter(|_| sender.closed.is_none())?;
    if !case.is_past(since_ns.saturating_add(WINDOW_NS)) {
        return None;
    }
    Some(Match {
        severity: Severity::Info,
        confidence: Confidence::Confirmed,
        cause: case.peer(),
        ongoing: true,
        first_ns: since_ns,
        last_ns: None,
        attempts: 0,
        seq: None,
        foreseen: None,
    })
}

/// The connection was reset, or given up, after segments had been sent again.
pub(crate) fn connection_aborted(case: &Case<'_>) -> Option<Match> {
    let sender = case.connection.sender(case.side)?;
    let closed = sender.closed.as_ref()?;
    let sent = case.track.retransmits.as_ref()?;
    if !sender.established || sent.count <= sent.handshake || !ABORTED.contains(&closed.error) {
        return None;
    }
    Some(Match {
        severity: Severity::Info,
        confidence: Confidence::Confirmed,
        cause: case.peer(),
        ongoing: false,
        first_ns: sent.first_ns,
        last_ns: Some(sent.last_ns.max(case.connection.last_ns)),
        attempts: sent.repeats.open.map_or(0, |open| open.attempts),
        seq: sent.repeats.open.map(|open| open.seq),
        foreseen: None,
    })
}

/// Segments that came twice: what was sent again had not been lost (RFC 2883, RFC 3522).
fn duplicates(track: &Track) -> u64 {
    const TWICE: &[&str] = &["TCP_OLD_DATA", "TCP_OLD_SEQUENCE", "TCP_OFOMERGE"];
    track
        .other
        .iter()
        .filter(|(key, _)| {
            key.reason
                .as_deref()
                .is_some_and(|reason| TWICE.contains(&reason))
        })
        .map(|(_, drops)| drops.count)
        .sum()
}

/// Reasons that explain a loss. Others come after it (segments received twice, queues of closed
/// sockets) and explain nothing.
const CAUSES: &[&str] = &[
    "NETFILTER_DROP",
    "QDISC_DROP",
    "QDISC_CONGESTED",
    "QDISC_OVERLIMIT",
    "TC_INGRESS",
    "TC_EGRESS",
    "BPF_CGROUP_EGRESS",
    "SOCKET_FILTER",
    "SOCKET_RCVBUFF",
    "SOCKET_BACKLOG",
    "PROTO_MEM",
    "CPU_BACKLOG",
    "XDP",
    "FULL_RING",
    "NOMEM",
    "IP_OUTNOROUTES",
    "IP_INNOROUTES",
    "IP_RPFILTER",
    "IP_CSUM",
    "TCP_CSUM",
    "NEIGH_FAILED",
    "NEIGH_QUEUEFULL",
    "NEIGH_DEAD",
    "DEV_READY",
    "XFRM_POLICY",
    "TCP_MD5UNEXPECTED",
    "TCP_MD5FAILURE",
    "TCP_ZEROWINDOW",
];

/// How functions begin that free what has arrived, or nobody has asked for.
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

/// The place where most packets of this direction die for another reason than their size.
pub fn worst_other(track: &Track) -> Option<(&OtherKey, &OtherDrops)> {
    track
        .other
        .iter()
        .filter(|(key, drops)| {
            key.hook.is_some()
                || match key.reason.as_deref() {
                    None | Some(NO_REASON) => {
                        drops.fallen.resent() >= LOSS_RETRANSMITS && !is_at_its_end(&key.function)
                    }
                    Some(reason) => is_cause(reason),
                }
        })
        .max_by_key(|(key, drops)| {
            let explained = key.hook.is_some() || key.reason.as_deref().is_some_and(is_cause);
            let sure = if explained {
                drops.count
            } else {
                drops.fallen.resent()
            };
            (sure, drops.last_ns)
        })
}

fn is_cause(reason: &str) -> bool {
    CAUSES.contains(&reason)
}

/// Whether a function frees packets that have come to their end, or copies of others: what a device takes
/// up that is for another host, what a capture has no room for, what a socket has already.
fn is_at_its_end(function: &str) -> bool {
    ENDS.iter().any(|start| function.starts_with(start))
}
