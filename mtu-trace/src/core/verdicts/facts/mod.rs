//! What is known of one direction of a connection, as named facts: each is a question with one answer,
//! computed when a row of the table first asks for it.

pub(crate) mod loss;
pub(crate) mod nothing_dropped;
pub(crate) mod predicted;
pub(crate) mod size;
pub(crate) mod way_out;

use std::cell::{Cell, OnceCell};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::core::sites::Predicted;
use crate::core::track::{Connection, Open, Side, State, Track, TrackedSocket};
use crate::core::verdicts::cause::Cause;
use crate::model::event::{Flow, UDP, hook};

/// A sequence number lost so often, over so long a time, is a stall: the original and two resends,
/// the second after a doubled timeout. Working discovery never needs a second timeout, because its
/// message takes one round trip, and the timeout is longer than that (RFC 6298, section 2).
pub(crate) const STALL_ATTEMPTS: u32 = 3;
/// The shortest stall, ns: the kernel's smallest retransmission timeout (`TCP_RTO_MIN`).
pub(crate) const STALL_NS: u64 = 200_000_000;
/// How much longer than all timeouts before it the next one may be: timeouts double, so the next
/// comes within as long again as all took so far (RFC 6298, section 5.5).
const NEXT_TIMEOUT_FACTOR: u64 = 2;
/// How late a timeout may be beyond that, ns. A choice: it covers a busy host, and is how long a
/// stall that has ended unseen is still called ongoing.
const OVERDUE_NS: u64 = 1_000_000_000;

/// Declares the facts: what each says, and the question it answers.
macro_rules! facts {
    ($($(#[$doc:meta])* $fact:ident = $test:expr,)+) => {
        /// Something that is known, or not, of one direction of a connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fact { $($(#[$doc])* $fact,)+ }

        impl Fact {
            /// Every fact, in the order of their declaration.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$fact),+];

            fn test(self, facts: &TrackFacts<'_>) -> bool {
                let test: fn(&TrackFacts<'_>) -> bool = match self { $(Self::$fact => $test,)+ };
                test(facts)
            }
        }
    };
}

facts! {
    /// Packets of this direction were dropped for their size.
    OversizedDrop = |facts| facts.track.worst_site().is_some(),
    /// One of them is dropped again and again, or its sender times out and is still too big.
    OversizedStall = |facts| size::oversized_stall(facts).is_some(),
    /// Oversized packets were dropped again and again, whatever their sequence numbers.
    RepeatedDrops = size::drops_are_repeated,
    /// The function that dropped them is known to test lengths.
    KnownFunction = |facts| facts.track.worst_site().is_some_and(|drops| drops.site.known_function),
    /// A socket of this host, surely of this connection, shows whether data gets through.
    SocketWatched = size::socket_is_watched,
    /// Oversized packets of a stalled sender pass by on their way to a place too narrow for them.
    OversizedPassing = |facts| size::passing_stall(facts).is_some(),
    /// A sequence number that was dropped for its size has not got through.
    HoleOpen = |facts| facts.track.holes.open.is_some(),
    /// One that was dropped for its size got through in the end.
    HoleFilled = |facts| facts.track.holes.worst.is_some(),
    /// It did so only after several timeouts.
    HoleFilledLate = |facts| facts.track.holes.worst.is_some_and(|worst| size::is_late(&worst)),
    /// What was dropped for its size got through, and its sender stalled since, for another reason.
    StalledAfterwards = size::stalled_afterwards,
    /// The message about the size was dropped on this host.
    MessageBlocked = |facts| !facts.track.icmp.blocked.is_empty(),
    /// The message cannot have reached the sender: nobody makes one, or it was dropped.
    MessageMissing = size::message_is_missing,
    /// The sender was told, and nothing of it has been dropped for its size since.
    ToldAndStopped = |facts| size::is_told(facts) && !size::drops_go_on(facts),
    /// The connection's packets are datagrams, which nobody acknowledges where this host sees it.
    Datagrams = |facts| facts.flow().is_some_and(|flow| flow.protocol == UDP),
    /// A sender on this host makes no progress.
    SenderStalled = |facts| facts.stall().is_some(),
    /// A sender on this host has sent segments again, or has tried to.
    Retransmits = |facts| facts.resends() > 0,
    /// Nothing that a sender on this host tries to send leaves its namespace.
    NothingLeaves = |facts| way_out::open_outage(facts).is_some(),
    /// For a time nothing of it did.
    NothingLeft = |facts| way_out::ended_outage(facts).is_some(),
    /// It is seen what its way out lacks, or lacked then.
    LackSeen = way_out::lack_is_seen,
    /// It may be said that nothing of this direction is dropped on this host.
    NothingDropped = nothing_dropped::nothing_is_dropped,
    /// Full-size segments are not acknowledged, while small ones did or do get through.
    FullSizeUnacknowledged = size::full_size_is_unacknowledged,
    /// A receiver on this host, whose sender is elsewhere, waits for what would fill a gap.
    GapUnfilled = |facts| size::unfilled_gap_ns(facts).is_some(),
    /// After several timeouts the segments became smaller and got through, beyond this host.
    CameDownLate = size::came_down_late,
    /// Nothing was dropped here, and nothing was sent that could have been, since the trace began.
    NothingTried = predicted::nothing_was_tried,
    /// What waits to be acknowledged is full-size, and nothing full-size ever was acknowledged.
    FullSizeWaiting = predicted::full_size_is_waiting,
    /// The network as it stands has a place that is too narrow for the sender's packets.
    NarrowPlace = |facts| facts.predicted_place().is_some(),
    /// Packets were dropped here for a reason that explains a loss, other than their size.
    OtherDrop = |facts| loss::worst_other(facts.track).is_some(),
    /// Those drops were felt by a sender here, or are too many to be daily life.
    OtherDropMatters = loss::other_drop_matters,
    /// Drops on this host would have been seen.
    DropsVisible = |facts| !facts.state.blind.contains(hook::DROPS),
    /// A sender on this host waits for the answer to its SYN.
    SynUnanswered = loss::syn_is_unanswered,
    /// The receiver of a sender on this host has had no room for a while.
    WindowClosed = |facts| loss::window_closed_ns(facts).is_some(),
    /// A sender on this host was cut off after it had sent segments again.
    CutOff = loss::is_cut_off,
    /// Segments were lost, more than came twice, and got through when they were sent again.
    SegmentsLost = loss::segments_were_lost,
}

/// TrackFacts that hold whenever the first one does.
pub(crate) const IMPLIED: &[(Fact, &[Fact])] = &[
    (Fact::OversizedStall, &[Fact::OversizedDrop, Fact::HoleOpen]),
    (Fact::RepeatedDrops, &[Fact::OversizedDrop]),
    (Fact::KnownFunction, &[Fact::OversizedDrop]),
    (Fact::SocketWatched, &[Fact::OversizedDrop]),
    (Fact::ToldAndStopped, &[Fact::OversizedDrop]),
    (Fact::HoleFilledLate, &[Fact::HoleFilled]),
    (
        Fact::StalledAfterwards,
        &[Fact::HoleFilled, Fact::SenderStalled],
    ),
    (Fact::MessageBlocked, &[Fact::MessageMissing]),
    (Fact::OtherDropMatters, &[Fact::OtherDrop]),
];
/// TrackFacts that never hold when the first one does: nothing was dropped, no sender is here, or its
/// handshake is done, or its socket closed.
pub(crate) const EXCLUDED: &[(Fact, &[Fact])] = &[
    (Fact::NothingTried, &[Fact::OversizedDrop, Fact::OtherDrop]),
    (Fact::NothingLeaves, &[Fact::NothingLeft]),
    (
        Fact::NothingDropped,
        &[
            Fact::OversizedDrop,
            Fact::OversizedPassing,
            Fact::MessageBlocked,
            Fact::NothingLeaves,
            Fact::NothingLeft,
        ],
    ),
    (
        Fact::GapUnfilled,
        &[
            Fact::SynUnanswered,
            Fact::FullSizeUnacknowledged,
            Fact::FullSizeWaiting,
            Fact::WindowClosed,
            Fact::CutOff,
            Fact::NothingLeaves,
            Fact::NothingLeft,
        ],
    ),
    (
        Fact::SynUnanswered,
        &[Fact::FullSizeUnacknowledged, Fact::CutOff],
    ),
    (Fact::CutOff, &[Fact::WindowClosed]),
];

/// One direction of one connection, with what is known of it.
pub struct TrackFacts<'a> {
    pub state: &'a State,
    pub connection: &'a Connection,
    pub side: Side,
    pub track: &'a Track,
    /// The facts that were asked for, and those that hold, a bit each.
    asked: Cell<u64>,
    held: Cell<u64>,
    stall: OnceCell<Option<Stall>>,
    predicted: OnceCell<Option<Arc<Predicted>>>,
    /// When the answers may change though nothing happens, ns.
    due_ns: Cell<Option<u64>>,
}

/// A sender that makes no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The first loss, ns.
    pub first_ns: u64,
    /// The latest loss, ns.
    pub last_ns: u64,
    /// How often the same sequence number was lost.
    pub attempts: u32,
    /// The sequence number; `None` where only its timeouts are known.
    pub seq: Option<u32>,
}

impl Stall {
    fn of(open: &Open) -> Self {
        Self {
            first_ns: open.first_ns,
            last_ns: open.last_ns,
            attempts: open.attempts,
            seq: Some(open.seq),
        }
    }
}

impl<'a> TrackFacts<'a> {
    /// A direction in which something was lost or is waited for; `None` for any other, of which no
    /// row of the table speaks.
    pub fn of(state: &'a State, connection: &'a Connection, side: Side) -> Option<Self> {
        let track = connection.track(side);
        let waits = connection.ends.iter().any(TrackedSocket::waits);
        (waits || track.has_losses()).then_some(Self {
            state,
            connection,
            side,
            track,
            asked: Cell::new(0),
            held: Cell::new(0),
            stall: OnceCell::new(),
            predicted: OnceCell::new(),
            due_ns: Cell::new(None),
        })
    }

    /// Whether a fact holds now.
    pub fn holds(&self, fact: Fact) -> bool {
        let bit = 1_u64 << fact as u32;
        if self.asked.get() & bit == 0 {
            let held = if fact.test(self) { bit } else { 0 };
            self.asked.set(self.asked.get() | bit);
            self.held.set(self.held.get() | held);
        }
        self.held.get() & bit != 0
    }

    /// Whether the facts that were asked for agree with [`IMPLIED`] and [`EXCLUDED`].
    pub(crate) fn are_consistent(&self) -> bool {
        let asked = |fact: Fact| self.asked.get() & (1_u64 << fact as u32) != 0;
        let holds = |fact: Fact| asked(fact) && self.holds(fact);
        let implied = |&(fact, others): &(Fact, &[Fact])| {
            !holds(fact) || others.iter().all(|&other| self.holds(other))
        };
        let excluded = |&(fact, others): &(Fact, &[Fact])| {
            !holds(fact) || !others.iter().any(|&other| holds(other))
        };
        IMPLIED.iter().all(implied) && EXCLUDED.iter().all(excluded)
    }

    /// When to ask again though nothing happens, ns; `None` for never. It is known once the table
    /// was asked.
    pub fn due_ns(&self) -> Option<u64> {
        self.due_ns.get()
    }

    /// Whether a moment has come. If not, the table is to be asked again then.
    pub(crate) fn is_past(&self, at_ns: u64) -> bool {
        let is_past = self.state.now_ns >= at_ns;
        if !is_past {
            let due_ns = self.due_ns.get().map_or(at_ns, |due_ns| due_ns.min(at_ns));
            self.due_ns.set(Some(due_ns));
        }
        is_past
    }

    /// The flow of this direction's data, from the sender's side where that is on this host; `None`
    /// where no packet of it was seen.
    pub(crate) fn flow(&self) -> Option<Flow> {
        match (self.sender(), self.connection.receiver(self.side)) {
            (Some(sender), _) => Some(sender.socket.flow),
            (None, Some(receiver)) => Some(receiver.socket.flow.reversed()),
            (None, None) => Some(self.side.outwards(*self.connection.seen_as.first()?)),
        }
    }

    /// The cause where whatever is at fault lies towards the other end: the one beyond this host,
    /// else the receiver.
    pub(crate) fn peer(&self) -> Cause {
        let flow = self.flow();
        let address = flow.map(|flow| match self.sender() {
            Some(_) => flow.destination.ip(),
            None => flow.source.ip(),
        });
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let network = flow.map(|flow| self.state.index.networks().of(flow.netns));
        Cause::Peer(network, address)
    }

    /// The sending end; `None` where it is not on this host.
    pub(crate) fn sender(&self) -> Option<&'a TrackedSocket> {
        self.connection.sender(self.side)
    }

    pub(crate) fn retransmits(&self) -> u64 {
        self.track.retransmits.as_ref().map_or(0, |sent| sent.count)
    }

    /// How often segments were to be sent again, whether they could be or not.
    pub(crate) fn resends(&self) -> u64 {
        let sent = self.track.retransmits.as_ref();
        sent.map_or(0, |sent| sent.tried())
    }

    /// The stall of a sender on this host: the same segment sent again and again, or timeouts that
    /// its socket tells of. `None` while it makes progress.
    pub(crate) fn stall(&self) -> Option<Stall> {
        *self.stall.get_or_init(|| self.find_stall())
    }

    fn find_stall(&self) -> Option<Stall> {
        let sent = self.track.retransmits.as_ref();
        let waits = self.track.waits;
        let timeouts = waits.map_or(0, |waits| waits.backoff.saturating_add(1));
        if let Some(open) = sent.and_then(|sent| sent.repeats.open).filter(is_stall) {
            // It may have begun before the trace.
            let since_ns = waits.map_or(open.first_ns, |waits| waits.first_ns);
            return Some(Stall {
                first_ns: open.first_ns.min(since_ns),
                attempts: open.attempts.max(timeouts),
                ..Stall::of(&open)
            });
        }
        let waits = waits.filter(|_| timeouts >= STALL_ATTEMPTS)?;
        Some(Stall {
            first_ns: sent.map_or(waits.first_ns, |sent| sent.first_ns.min(waits.first_ns)),
            last_ns: waits.last_ns,
            attempts: timeouts,
            seq: None,
        })
    }

    /// The place on the sender's way that the network as it stands has too narrow for it; `None` if
    /// there is none.
    pub(crate) fn predicted_place(&self) -> Option<&Arc<Predicted>> {
        let find = || predicted::by_socket(self).map(Arc::new);
        self.predicted.get_or_init(find).as_ref()
    }

    /// Whether what began and was last seen at these times, ns, goes on: until its sockets here are
    /// closed, or where none is known, until the next timeout is long overdue.
    pub(crate) fn is_ongoing(&self, first_ns: u64, last_ns: u64) -> bool {
        if !self.connection.ends.is_empty() {
            return !self.connection.is_closed();
        }
        let overdue = last_ns
            .saturating_sub(first_ns)
            .saturating_mul(NEXT_TIMEOUT_FACTOR)
            .saturating_add(OVERDUE_NS);
        !self.is_past(last_ns.saturating_add(overdue).saturating_add(1))
    }
}

/// Whether losses of one sequence number are a stall.
pub(crate) fn is_stall(open: &Open) -> bool {
    open.attempts >= STALL_ATTEMPTS && open.last_ns.saturating_sub(open.first_ns) >= STALL_NS
}
