//! The decision table: which facts lead to which verdict. Each verdict has a file of its own here,
//! with all that there is to say about it.
//!
//! A row names the facts it needs; the first that fits a direction of a connection decides. `tests`
//! proves which rows can fit together, and says why they stand in this order.

mod connection_aborted;
mod handshake_timeout;
mod local_drop;
mod mtu_black_hole;
mod mtu_mismatch;
mod packet_loss;
mod pmtud_slow;
mod pmtud_working;
mod receiver_stalled;
mod remote_black_hole;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use Confidence::{Confirmed, Likely, Suspected};
use Fact::*;
use Severity::{Error, Info, Warning};

use crate::core::sites::Predicted;
use crate::core::verdicts::cause::Cause;
use crate::core::verdicts::facts::{Fact, Stall, TrackFacts};
use crate::core::verdicts::fixes::FixContext;
use crate::core::verdicts::sentence::Telling;
use crate::model::finding::{Confidence, Fix, Severity, Verdict};

/// All that there is to say about a verdict.
#[derive(Clone, Copy, Debug)]
pub struct VerdictEntry {
    /// How bad it can be, worst first.
    pub severities: &'static [Severity],
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// The page about it: Markdown that can be read as it is.
    pub page: &'static str,
    /// Who concludes it, and what is said then.
    pub origin: Origin,
}

/// Who concludes a verdict.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    /// A trace does, by rows of the table.
    Trace {
        /// The one sentence of a finding.
        sentence: fn(&Telling<'_>) -> String,
        /// What can be done about it, best first.
        fixes: fn(&FixContext<'_>) -> Vec<Fix>,
    },
    /// The audit does, before any traffic (`core::audit`).
    Audit,
}

impl VerdictEntry {
    /// The severities by name, as in `error, warning`.
    #[must_use]
    pub fn severity_words(&self) -> String {
        let words: Vec<&str> = self.severities.iter().map(|it| it.name()).collect();
        words.join(", ")
    }
}

/// All that there is to say about a verdict.
#[must_use]
pub fn entry(verdict: Verdict) -> &'static VerdictEntry {
    match verdict {
        Verdict::MtuBlackHole => &mtu_black_hole::VERDICT,
        Verdict::RemoteBlackHole => &remote_black_hole::VERDICT,
        Verdict::PmtudWorking => &pmtud_working::VERDICT,
        Verdict::PmtudSlow => &pmtud_slow::VERDICT,
        Verdict::LocalDrop => &local_drop::VERDICT,
        Verdict::PacketLoss => &packet_loss::VERDICT,
        Verdict::HandshakeTimeout => &handshake_timeout::VERDICT,
        Verdict::ReceiverStalled => &receiver_stalled::VERDICT,
        Verdict::ConnectionAborted => &connection_aborted::VERDICT,
        Verdict::MtuMismatch => &mtu_mismatch::VERDICT,
    }
}

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct DecisionRow {
    /// What sets the row apart, unique.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests speak of rows by it"))]
    case: &'static str,
    verdict: Verdict,
    severity: Severity,
    /// How sure it is at best.
    confidence: Confidence,
    /// TrackFacts that are missing: each lowers the confidence by one.
    surer_with: &'static [Fact],
    needs: &'static [Fact],
    unless: &'static [Fact],
    /// Describes the trouble, once the facts hold.
    describe: fn(&TrackFacts<'_>) -> Option<Trouble>,
}

const fn row(
    case: &'static str,
    (verdict, severity, confidence): (Verdict, Severity, Confidence),
    needs: &'static [Fact],
    describe: fn(&TrackFacts<'_>) -> Option<Trouble>,
) -> DecisionRow {
    DecisionRow {
        case,
        verdict,
        severity,
        confidence,
        surer_with: &[],
        needs,
        unless: &[],
        describe,
    }
}

impl DecisionRow {
    const fn unless(mut self, facts: &'static [Fact]) -> Self {
        self.unless = facts;
        self
    }

    const fn surer_with(mut self, facts: &'static [Fact]) -> Self {
        self.surer_with = facts;
        self
    }

    fn decide(&self, facts: &TrackFacts<'_>) -> Option<Match> {
        let holds = |fact: &Fact| facts.holds(*fact);
        if !self.needs.iter().all(holds) || self.unless.iter().any(holds) {
            return None;
        }
        let trouble = (self.describe)(facts)?;
        let missing = self.surer_with.iter().filter(|fact| !holds(fact));
        Some(Match {
            verdict: self.verdict,
            severity: self.severity,
            confidence: missing.fold(self.confidence, |sure, _| sure.lowered()),
            trouble,
        })
    }
}

/// The rows, in the order in which they are tried: first what is seen of packets that are too big,
/// then what other drops explain, then what only the ends show.
pub(crate) const TABLE: &[DecisionRow] = &[
    row(
        "segments",
        (Verdict::MtuBlackHole, Error, Confirmed),
        &[OversizedStall],
        mtu_black_hole::of_segments,
    )
    .surer_with(&[SocketWatched, KnownFunction]),
    row(
        "datagrams",
        (Verdict::MtuBlackHole, Error, Likely),
        &[RepeatedDrops, Datagrams],
        mtu_black_hole::of_datagrams,
    )
    .unless(&[ToldAndStopped])
    .surer_with(&[MessageMissing, KnownFunction]),
    row(
        "blocked message",
        (Verdict::MtuBlackHole, Error, Likely),
        &[MessageBlocked, SenderStalled],
        mtu_black_hole::of_blocked_message,
    )
    .unless(&[OversizedDrop]),
    row(
        "passing",
        (Verdict::MtuBlackHole, Error, Suspected),
        &[OversizedPassing],
        mtu_black_hole::of_passing_packets,
    ),
    row(
        "recovered late",
        (Verdict::PmtudSlow, Warning, Confirmed),
        &[OversizedDrop, HoleFilledLate],
        pmtud_slow::here,
    ),
    row(
        "recovered",
        (Verdict::PmtudWorking, Info, Confirmed),
        &[OversizedDrop, HoleFilled],
        pmtud_working::describe,
    )
    .unless(&[HoleOpen, Datagrams]),
    row(
        "told datagrams",
        (Verdict::PmtudWorking, Info, Suspected),
        &[OversizedDrop, Datagrams, ToldAndStopped],
        pmtud_working::describe,
    )
    .unless(&[HoleOpen]),
    row(
        "handshake",
        (Verdict::HandshakeTimeout, Warning, Confirmed),
        &[SynUnanswered],
        handshake_timeout::describe,
    ),
    row(
        "dropped and stalled",
        (Verdict::LocalDrop, Error, Confirmed),
        &[OtherDropMatters, SenderStalled],
        local_drop::describe,
    )
    .surer_with(&[Retransmits]),
    row(
        "dropped",
        (Verdict::LocalDrop, Warning, Confirmed),
        &[OtherDropMatters],
        local_drop::describe,
    )
    .surer_with(&[Retransmits]),
    row(
        "predicted",
        (Verdict::MtuBlackHole, Error, Suspected),
        &[NothingTried, FullSizeWaiting, SenderStalled, NarrowPlace],
        mtu_black_hole::of_predicted_place,
    ),
    row(
        "sender beyond a hole",
        (Verdict::RemoteBlackHole, Error, Suspected),
        &[SenderStalled, FullSizeUnacknowledged, DropsVisible],
        remote_black_hole::of_sender,
    )
    .unless(&[OversizedDrop, OtherDrop, MessageBlocked]),
    row(
        "receiver beyond a hole",
        (Verdict::RemoteBlackHole, Error, Suspected),
        &[GapUnfilled, DropsVisible],
        remote_black_hole::of_receiver,
    )
    .unless(&[OversizedDrop, OtherDrop, MessageBlocked]),
    row(
        "came down late",
        (Verdict::PmtudSlow, Warning, Likely),
        &[CameDownLate],
        pmtud_slow::beyond,
    ),
    row(
        "zero window",
        (Verdict::ReceiverStalled, Info, Confirmed),
        &[WindowClosed],
        receiver_stalled::describe,
    ),
    row(
        "cut off",
        (Verdict::ConnectionAborted, Info, Confirmed),
        &[CutOff],
        connection_aborted::describe,
    ),
    row(
        "lost",
        (Verdict::PacketLoss, Info, Likely),
        &[SegmentsLost],
        packet_loss::describe,
    )
    .surer_with(&[DropsVisible]),
];

/// What the first row that fits says; `None` if none does.
pub(crate) fn decide(facts: &TrackFacts<'_>) -> Option<Match> {
    let decided = TABLE.iter().find_map(|row| row.decide(facts));
    debug_assert!(facts.are_consistent(), "facts that contradict each other");
    decided
}

/// What the table says of one direction of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The verdict that is concluded.
    pub verdict: Verdict,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is, if no record was lost.
    pub confidence: Confidence,
    /// What it is concluded of.
    pub trouble: Trouble,
}

/// What ails one direction of a connection, and since when.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What it shares with other connections.
    pub cause: Cause,
    /// Whether it goes on.
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
    fn over(cause: Cause, first_ns: u64, last_ns: u64) -> Self {
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

    /// Trouble that is seen at this very moment, since its first sign, ns.
    fn lasting(cause: Cause, first_ns: u64) -> Self {
        Self {
            ongoing: true,
            last_ns: None,
            ..Self::over(cause, first_ns, first_ns)
        }
    }

    /// A stall, with its cause.
    fn stall(facts: &TrackFacts<'_>, stall: &Stall, cause: Cause) -> Self {
        Self {
            ongoing: facts.is_ongoing(stall.first_ns, stall.last_ns),
            attempts: stall.attempts,
            seq: stall.seq,
            ..Self::over(cause, stall.first_ns, stall.last_ns)
        }
    }
}

/// Includes the page of a verdict by its name.
macro_rules! page {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/verdicts/",
            $name,
            ".md"
        ))
    };
}
use page;
