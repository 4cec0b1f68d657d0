//! The rules. Each looks at one direction of one connection.

use super::finding::{Confidence, Severity, Verdict};
use crate::correlate::{Connection, OtherDrops, OtherKey, Side, SiteKey, State, Track};

/// A sequence number lost so often, over so long a time, is a stall: the original and two resends,
/// the second after a doubled timeout. Working discovery never needs a second timeout, because its
/// message takes one round trip, and the timeout is longer than that (RFC 6298, section 2).
const STALL_ATTEMPTS: u32 = 3;
/// The kernel's smallest retransmission timeout (`TCP_RTO_MIN`), ns.
const STALL_NS: u64 = 200_000_000;
/// How late a timeout may be, ns.
const OVERDUE_NS: u64 = 1_000_000_000;
/// Segments sent again that are worth a word; fewer are daily life.
const LOSS_RETRANSMITS: u64 = 3;
/// How long a SYN stays unanswered before that is worth a word, counted from its first resend, ns.
const HANDSHAKE_NS: u64 = 500_000_000;

/// A rule.
pub struct Rule {
    /// What it finds.
    pub verdict: Verdict,
    /// What that means, in a line.
    pub meaning: &'static str,
    /// Whether it fits.
    pub fits: fn(&Case<'_>) -> Option<Match>,
}

/// Every rule, in the order in which they are tried.
pub const RULES: &[Rule] = &[
    Rule {
        verdict: Verdict::MtuBlackHole,
        meaning: "oversized packets of a stalled connection die at a known place",
        fits: mtu_black_hole,
    },
    Rule {
        verdict: Verdict::PmtudSlow,
        meaning: "the sender came down in the end, after several timeouts",
        fits: pmtud_slow,
    },
    Rule {
        verdict: Verdict::PmtudWorking,
        meaning: "oversized packets were dropped, the sender came down, the data moves",
        fits: pmtud_working,
    },
    Rule {
        verdict: Verdict::HandshakeTimeout,
        meaning: "SYNs are not answered: the connection never came up, so this is no MTU problem",
        fits: handshake_timeout,
    },
    Rule {
        verdict: Verdict::LocalDrop,
        meaning: "segments are lost on this host for another reason than their size",
        fits: local_drop,
    },
    Rule {
        verdict: Verdict::PacketLoss,
        meaning: "segments are lost elsewhere and got through when sent again",
        fits: packet_loss,
    },
];

/// One direction of one connection.
pub struct Case<'a> {
    /// Everything.
    pub state: &'a State,
    /// The connection.
    pub connection: &'a Connection,
    /// The direction.
    pub side: Side,
    /// Its data.
    pub track: &'a Track,
}

/// What a rule found.
#[derive(Clone, Debug)]
pub struct Match {
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// What it shares with others.
    pub cause: Cause,
    /// Whether it goes on.
    pub ongoing: bool,
    /// First sign, ns.
    pub first_ns: u64,
    /// Latest sign, ns.
    pub last_ns: u64,
    /// How often the same sequence number was lost.
    pub attempts: u32,
    /// That number.
    pub seq: Option<u32>,
}

/// What several connections may share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A place where packets die for their size.
    Site(SiteKey),
    /// A place where they die for another reason.
    Other(OtherKey),
    /// Something beyond this host.
    Elsewhere,
}

fn mtu_black_hole(case: &Case<'_>) -> Option<Match> {
    let site = case.track.worst_site()?;
    let open = case.track.holes.open?;
    let lasted = open.last_ns.saturating_sub(open.first_ns);
    if open.attempts < STALL_ATTEMPTS || lasted < STALL_NS {
        return None;
    }
    // That nothing gets through is known from a socket of this host with its sequence numbers;
    // without one, only from the packets that die again and again.
    let watched =
        case.connection.ends.iter().any(|end| {
            end.retransmit.is_some() || (end.socket.isn.is_some() && end.sample.is_some())
        });
    let confidence = match (watched, site.site.known_function) {
        (true, true) => Confidence::Confirmed,
        (true, false) | (false, true) => Confidence::Likely,
        (false, false) => Confidence::Suspected,
    };
    Some(Match {
        severity: Severity::Error,
        confidence: lowered(case.state, confidence),
        cause: Cause::Site(site.site.key.clone()),
        ongoing: is_ongoing(case, open.first_ns, open.last_ns),
        first_ns: open.first_ns,
        last_ns: open.last_ns,
        attempts: open.attempts,
        seq: Some(open.seq),
    })
}

fn pmtud_slow(case: &Case<'_>) -> Option<Match> {
    let site = case.track.worst_site()?;
    let worst = case.track.holes.worst?;
    if worst.attempts < STALL_ATTEMPTS || worst.took_ns < STALL_NS {
        return None;
    }
    Some(Match {
        severity: Severity::Warning,
        confidence: lowered(case.state, Confidence::Confirmed),
        cause: Cause::Site(site.site.key.clone()),
        ongoing: false,
        first_ns: site.first_ns,
        last_ns: worst.at_ns,
        attempts: worst.attempts,
        seq: None,
    })
}

fn pmtud_working(case: &Case<'_>) -> Option<Match> {
    let site = case.track.worst_site()?;
    let recovery = case.track.holes.worst;
    // That it got through must have been seen: silence may be a sender that gave up.
    if case.track.holes.open.is_some() || recovery.is_none() {
        return None;
    }
    Some(Match {
        severity: Severity::Info,
        confidence: lowered(case.state, Confidence::Confirmed),
        cause: Cause::Site(site.site.key.clone()),
        ongoing: false,
        first_ns: site.first_ns,
        last_ns: recovery.map_or(site.last_ns, |recovery| recovery.at_ns.max(site.last_ns)),
        attempts: recovery.map_or(0, |recovery| recovery.attempts),
        seq: None,
    })
}

/// Whether a stall goes on: until its sockets here are closed, or where none is known, until the
/// next timeout is long overdue. Timeouts double, so the next one comes within as long again as all
/// took so far (RFC 6298, section 5.5).
fn is_ongoing(case: &Case<'_>, first_ns: u64, last_ns: u64) -> bool {
    if !case.connection.ends.is_empty() {
        return !case.connection.is_closed();
    }
    let overdue = last_ns
        .saturating_sub(first_ns)
        .saturating_mul(2)
        .saturating_add(OVERDUE_NS);
    case.state.now_ns.saturating_sub(last_ns) <= overdue
}

fn handshake_timeout(case: &Case<'_>) -> Option<Match> {
    let sent = case.track.retransmits.as_ref()?;
    let sender = case.connection.sender(case.side)?;
    if sent.handshake == 0
        || sender.established
        || case.state.now_ns.saturating_sub(sent.first_ns) < HANDSHAKE_NS
    {
        return None;
    }
    Some(Match {
        severity: Severity::Warning,
        confidence: lowered(case.state, Confidence::Confirmed),
        cause: worst_other(case.track)
            .map_or(Cause::Elsewhere, |(key, _)| Cause::Other(key.clone())),
        ongoing: sender.closed.is_none(),
        first_ns: sent.first_ns,
        last_ns: sent.last_ns,
        attempts: u32::try_from(sent.handshake).unwrap_or(u32::MAX),
        seq: None,
    })
}

fn local_drop(case: &Case<'_>) -> Option<Match> {
    let (key, drops) = worst_other(case.track)?;
    let sent = case.track.retransmits.as_ref();
    let retransmits = sent.map_or(0, |sent| sent.count);
    // SYNs from outside that a firewall refuses are what it is for.
    if retransmits == 0 && (drops.count < LOSS_RETRANSMITS || drops.syn) {
        return None;
    }
    let open = sent.and_then(|sent| sent.repeats.open);
    let stalled = open.is_some_and(|open| {
        open.attempts >= STALL_ATTEMPTS && open.last_ns.saturating_sub(open.first_ns) >= STALL_NS
    });
    Some(Match {
        severity: if stalled {
            Severity::Error
        } else {
            Severity::Warning
        },
        confidence: lowered(
            case.state,
            if retransmits > 0 {
                Confidence::Confirmed
            } else {
                Confidence::Likely
            },
        ),
        cause: Cause::Other(key.clone()),
        ongoing: stalled && open.is_some_and(|open| is_ongoing(case, open.first_ns, open.last_ns)),
        first_ns: drops.first_ns,
        last_ns: drops.last_ns.max(sent.map_or(0, |sent| sent.last_ns)),
        attempts: open.map_or(0, |open| open.attempts),
        seq: open.map(|open| open.seq),
    })
}

fn packet_loss(case: &Case<'_>) -> Option<Match> {
    let sent = case.track.retransmits.as_ref()?;
    // Two ends on one host and no drop between them is still a loss; one that does not recover is
    // for another rule to explain.
    if sent.count - sent.handshake.min(sent.count) < LOSS_RETRANSMITS
        || sent.repeats.recoveries == 0
        || duplicates(case.track).saturating_mul(2) >= sent.count
    {
        return None;
    }
    Some(Match {
        severity: Severity::Info,
        confidence: lowered(case.state, Confidence::Likely),
        cause: Cause::Elsewhere,
        ongoing: false,
        first_ns: sent.first_ns,
        last_ns: sent.last_ns,
        attempts: sent.repeats.worst.map_or(0, |worst| worst.attempts),
        seq: None,
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

/// The place where most packets of this direction die for another reason than their size.
pub(super) fn worst_other(track: &Track) -> Option<(&OtherKey, &OtherDrops)> {
    track
        .other
        .iter()
        .filter(|(key, _)| {
            key.hook.is_some()
                || key
                    .reason
                    .as_deref()
                    .is_some_and(|reason| CAUSES.contains(&reason))
        })
        .max_by_key(|(_, drops)| (drops.count, drops.last_ns))
}

/// Records of our own were lost: something may have been missed.
fn lowered(state: &State, confidence: Confidence) -> Confidence {
    match (state.lost, confidence) {
        (0, confidence) => confidence,
        (_, Confidence::Confirmed) => Confidence::Likely,
        (_, _) => Confidence::Suspected,
    }
}
