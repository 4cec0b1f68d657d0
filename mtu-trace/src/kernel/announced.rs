//! The sockets that events have announced: each once, and anew where more of it is known.

use std::collections::HashMap;

use crate::kernel::maps::{ConnectionTable, KeptSocket};
use crate::model::event::{Event, EventKind, Flow, Isn, Socket};

/// How long a socket is asked about after the last event of it: the longest retransmission timeout
/// (`TCP_RTO_MAX`), ns.
const INTEREST_NS: u64 = 120_000_000_000;
/// The announced sockets by their addresses, source local.
pub struct Announced {
    /// Sockets remembered at most.
    most: usize,
    /// Open sockets that had to be forgotten: they are asked about again when something of them is seen.
    pub(crate) forgotten: u64,
    sockets: HashMap<Flow, SocketState>,
    /// Where the next round of questions begins.
    turn: usize,
}

struct SocketState {
    isn: Option<Isn>,
    active: Option<bool>,
    /// Time of the last event of it, ns.
    last_ns: u64,
    is_closed: bool,
}

impl Announced {
    /// Remembers so many at most.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            forgotten: 0,
            sockets: HashMap::new(),
            turn: 0,
        }
    }

    /// Remembers a socket. Where there are too many, a tenth goes: closed ones, and then those of which
    /// nothing was seen for longest.
    fn insert(&mut self, flow: Flow, state: SocketState) {
        self.sockets.insert(flow, state);
        if self.sockets.len() <= self.most {
            return;
        }
        let rank = |(flow, state): (&Flow, &SocketState)| (!state.is_closed, state.last_ns, *flow);
        let mut ranked: Vec<_> = self.sockets.iter().map(rank).collect();
        let many = ranked.len() - self.most.saturating_mul(9) / 10;
        ranked.select_nth_unstable(many - 1);
        for (is_open, _, flow) in &ranked[..many] {
            self.forgotten += u64::from(*is_open);
            self.sockets.remove(flow);
        }
    }

    /// Announces a socket, and its end if it is over, unless that is known; asks for word of its end.
    pub fn announce(
        &mut self,
        kept: &KeptSocket,
        table: &mut impl ConnectionTable,
        time_ns: u64,
    ) -> Vec<Event> {
        let Socket {
            flow, isn, active, ..
        } = kept.socket;
        let same =
            |known: &SocketState| known.isn == isn && (known.active == active || active.is_none());
        if self.sockets.get(&flow).is_some_and(same) {
            return Vec::new();
        }
        table.watch(&flow);
        let state = SocketState {
            isn,
            active,
            last_ns: time_ns,
            is_closed: kept.closed.is_some(),
        };
        self.insert(flow, state);
        let opened = EventKind::Connection(kept.socket);
        let closed = kept.closed.map(EventKind::Closed);
        let kinds = [opened].into_iter().chain(closed);
        kinds.map(|kind| Event { time_ns, kind }).collect()
    }

    /// Notes a socket that an event brings with it; tells whether its initial sequence numbers are
    /// news.
    pub fn note(&mut self, socket: &Socket, time_ns: u64) -> bool {
        let known = self.sockets.get(&socket.flow);
        let is_news = known.is_none_or(|known| known.isn != socket.isn);
        let state = SocketState {
            isn: socket.isn,
            active: socket.active.or_else(|| known?.active),
            last_ns: time_ns,
            is_closed: false,
        };
        self.insert(socket.flow, state);
        is_news
    }

    /// Whether the socket has been announced.
    pub fn contains(&self, socket: &Flow) -> bool {
        self.sockets.contains_key(socket)
    }

    /// Forgets a socket, so that it is announced anew.
    pub fn remove(&mut self, socket: &Flow) {
        self.sockets.remove(socket);
    }

    /// Notes that something of the socket was seen.
    pub fn touch(&mut self, socket: &Flow, time_ns: u64) {
        if let Some(state) = self.sockets.get_mut(socket) {
            state.last_ns = state.last_ns.max(time_ns);
        }
    }

    /// Notes that a socket is no longer there; tells whether it had been announced.
    pub fn close(&mut self, socket: &Flow) -> bool {
        let Some(state) = self.sockets.get_mut(socket) else {
            return false;
        };
        state.is_closed = true;
        true
    }

    /// The next sockets worth asking about, `most` of them, in turn.
    pub fn next(&mut self, most: usize, now_ns: u64) -> Vec<Flow> {
        let is_live = |state: &SocketState| {
            !state.is_closed && now_ns.saturating_sub(state.last_ns) < INTEREST_NS
        };
        let live = self.sockets.iter().filter(|(_, state)| is_live(state));
        let live: Vec<Flow> = live.map(|(flow, _)| *flow).collect();
        if live.is_empty() {
            return live;
        }
        let start = self.turn % live.len();
        self.turn = start + most;
        let turns = live.iter().cycle().skip(start);
        turns.take(most.min(live.len())).copied().collect()
    }
}
