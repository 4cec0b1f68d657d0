//! The rules. Each looks at one direction of one connection.

pub(crate) mod loss;
pub(crate) mod predicted;
pub(crate) mod size;

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

pub(crate) use crate::core::verdicts::rules::loss::worst_other;
use crate::{
    core::{
        sites::{Foreseen, Hook, Joints, SiteKey},
        track::{Connection, End, Open, OtherKey, Side, State, Track},
    },
    model::{
        event::{Flow, Name},
        finding::{Confidence, Severity, Verdict},
        network::NetnsId,
    },
};

/// A sequence number lost so often, over so long a time, is a stall: the original and two resends,
/// the second after a doubled timeout. Working discovery never needs a second timeout, because its
/// message takes one round trip, and the timeout is longer than that (RFC 6298, section 2).
const STALL_ATTEMPTS: u32 = 3;
/// The kernel's smallest retransmission timeout (`TCP_RTO_MIN`), ns.
const STALL_NS: u64 = 200_000_000;
/// How late a timeout may be, ns.
const OVERDUE_NS: u64 = 1_000_000_000;

/// A rule.
pub struct Rule {
    /// What it finds.
    pub verdict: Verdict,
    /// Whether it fits.
    pub fits: fn(&Case<'_>) -> Option<Match>,
}

const fn rule(verdict: Verdict, fits: fn(&Case<'_>) -> Option<Match>) -> Rule {
    Rule { verdict, fits }
}

/// Every rule, in the order in which they are tried. What a verdict means is in the catalogue.
pub const RULES: &[Rule] = &[
    rule(Verdict::MtuBlackHole, size::mtu_black_hole),
    rule(Verdict::MtuBlackHole, size::datagram_black_hole),
    rule(Verdict::MtuBlackHole, size::unheard_message),
    rule(Verdict::MtuBlackHole, size::unseen_drops),
    rule(Verdict::PmtudSlow, size::pmtud_slow),
    rule(Verdict::PmtudWorking, size::pmtud_working),
    rule(Verdict::HandshakeTimeout, loss::handshake_timeout),
    rule(Verdict::LocalDrop, loss::local_drop),
    rule(Verdict::MtuBlackHole, predicted::foreseen_black_hole),
    rule(Verdict::RemoteBlackHole, size::remote_black_hole),
    rule(Verdict::RemoteBlackHole, size::unfilled_gap),
    rule(Verdict::PmtudSlow, size::came_down_late),
    rule(Verdict::ReceiverStalled, loss::receiver_stalled),
    rule(Verdict::ConnectionAborted, loss::connection_aborted),
    rule(Verdict::PacketLoss, loss::packet_loss),
];

/// One direction of one connection.
pub struct Case<'a> {
    /// Everything.
    pub state: &'a State,
    /// What is joined in its network.
    pub joints: &'a Joints,
    /// The connection.
    pub connection: &'a Connection,
    /// The direction.
    pub side: Side,
    /// Its data.
    pub track: &'a Track,
    /// When the rules may say something else though nothing happens, ns.
    due_ns: Cell<Option<u64>>,
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq)]
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
    /// Latest sign, ns; `None` while it can be seen at any moment.
    pub last_ns: Option<u64>,
    /// How often the same sequence number was lost.
    pub attempts: u32,
    /// That number.
    pub seq: Option<u32>,
    /// The place as the map has it, where no drop shows it.
    pub foreseen: Option<Arc<Foreseen>>,
}

/// What several connections may share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A place where packets die for their size.
    Site(SiteKey),
    /// A place where they die for another reason.
    Other(OtherKey),
    /// The message about their size is dropped at a place: namespace, function and hook.
    Message(NetnsId, Name, Option<Hook>),
    /// Something at or before one peer, by its address and the network it is of: networks that have
    /// nothing to do with each other may have the same addresses.
    Peer(Option<NetnsId>, IpAddr),
}

impl<'a> Case<'a> {
    /// A direction in which something was lost or is waited for; `None` for any other: no rule is about
    /// it.
    pub fn of(
        state: &'a State,
        joints: &'a Joints,
        connection: &'a Connection,
        side: Side,
    ) -> Option<Self> {
        let track = connection.track(side);
        let waits = connection.ends.iter().any(End::waits);
        (waits || track.first_loss_ns().is_some()).then_some(Self {
            state,
            joints,
            connection,
            side,
            track,
            due_ns: Cell::new(None),
        })
    }

    /// What the first rule that fits says.
    pub fn judge(&self) -> Option<(Verdict, Match)> {
        RULES
            .iter()
            .find_map(|rule| Some((rule.verdict, (rule.fits)(self)?)))
    }

    /// When to ask again though nothing happens, ns. Known once the rules were asked.
    pub fn due_ns(&self) -> Option<u64> {
        self.due_ns.get()
    }

    /// Whether a moment has come. If not, the rules are to be asked again then.
    fn is_past(&self, at_ns: u64) -> bool {
        let is_past = self.state.now_ns >= at_ns;
        if !is_past {
            let due_ns = self.due_ns.get().map_or(at_ns, |due_ns| due_ns.min(at_ns));
            self.due_ns.set(Some(due_ns));
        }
        is_past
    }

    /// The flow of this direction's data, from the sender's side where that is on this host.
    fn flow(&self) -> Option<Flow> {
        if let Some(sender) = self.connection.sender(self.side) {
            return Some(sender.socket.flow);
        }
        let outwards = match self.connection.receiver(self.side) {
            Some(receiver) => return Some(receiver.socket.flow.reversed()),
            None => *self.connection.seen_as.first()?,
        };
        Some(match self.side {
            Side::Out => outwards,
            Side::In => outwards.reversed(),
        })
    }

    /// Whatever is at fault lies towards the other end: the one beyond this host, else the receiver.
    fn peer(&self) -> Cause {
        let flow = self.flow();
        let address = flow.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |flow| {
            match self.connection.sender(self.side) {
                Some(_) => flow.destination.ip(),
                None => flow.source.ip(),
            }
        });
        let network = flow.map(|flow| self.state.network(flow.netns));
        Cause::Peer(network, address)
    }

    /// The stall of a sender on this host: the same segment sent again and again, or timeouts that
    /// its socket tells of.
    fn stall(&self) -> Option<Stall> {
        let sent = self.track.retransmits.as_ref();
        let known = sent.and_then(|sent| sent.repeats.open).filter(is_stall);
        let waits = self.track.waits;
        if let Some(open) = known {
            // It may have begun before the trace.
            let since_ns = waits.map_or(open.first_ns, |waits| waits.first_ns);
            let timeouts = waits.map_or(0, |waits| waits.backoff.saturating_add(1));
            return Some(Stall {
                first_ns: open.first_ns.min(since_ns),
                last_ns: open.last_ns,
                attempts: open.attempts.max(timeouts),
                seq: Some(open.seq),
            });
        }
        let waits = waits?;
        (waits.backoff.saturating_add(1) >= STALL_ATTEMPTS).then(|| Stall {
            first_ns: sent.map_or(waits.first_ns, |sent| sent.first_ns.min(waits.first_ns)),
            last_ns: waits.last_ns,
            attempts: waits.backoff.saturating_add(1),
            seq: None,
        })
    }

    /// A match that says what a stall is due to.
    fn stalled(&self, stall: &Stall, confidence: Confidence, cause: Cause) -> Match {
        Match {
            severity: Severity::Error,
            confidence,
            cause,
            ongoing: is_ongoing(self, stall.first_ns, stall.last_ns),
            first_ns: stall.first_ns,
            last_ns: Some(stall.last_ns),
            attempts: stall.attempts,
            seq: stall.seq,
            foreseen: None,
        }
    }
}

/// A sender that does not get on.
struct Stall {
    first_ns: u64,
    last_ns: u64,
    attempts: u32,
    seq: Option<u32>,
}

fn is_stall(open: &Open) -> bool {
    open.attempts >= STALL_ATTEMPTS && open.last_ns.saturating_sub(open.first_ns) >= STALL_NS
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
    !case.is_past(last_ns.saturating_add(overdue).saturating_add(1))
}

/// Records of our own were lost: something may have been missed.
pub(crate) fn lowered(state: &State, confidence: Confidence) -> Confidence {
    match (state.lost, confidence) {
        (0, confidence) => confidence,
        (_, Confidence::Confirmed) => Confidence::Likely,
        (_, _) => Confidence::Suspected,
    }
}
