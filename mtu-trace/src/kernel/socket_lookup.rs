//! Finds, among the connections that the kernel programs keep, those that recent packets may belong
//! to, so that healthy connections need no event at all.
//!
//! What is found here is only announced: tracking decides what belongs together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::core::graph::{Networks, TopologyIndex};
use crate::core::track::{BY_ADDRESSES, CLOSE, belongs};
use crate::kernel::announced::Announced;
use crate::kernel::maps::{ConnectionTable, KeptSocket};
use crate::kernel::sizes::Sizes;
use crate::model::event::{Event, EventKind, Flow, Isn, Packet, PacketKind, Socket, TCP};
use crate::model::network::Topology;
use crate::model::store::Store;

/// Looks through all connections before a flow's socket counts as unknown. A choice: a socket may be
/// seen a moment after its packets, but they wait for it meanwhile.
const MOST_TRIES: u32 = 4;
/// How long a flow that was looked for in vain is left alone, ns. A choice: a flood without a socket
/// here, as a router sees, is not to cost a look each time.
const MISSED_NS: u64 = 30_000_000_000;
/// The shortest time between looks through all connections, which take two system calls for each, ns.
/// A choice: half of what events wait at most for their connections.
const SCAN_EVERY_NS: u64 = 50_000_000;
/// How long packets of a connection may still be seen after its end here, ns. A choice: well above a
/// round trip, well below the time after which the same addresses are used again.
const LINGER_NS: u64 = 1_000_000_000;
/// Searches remembered after their end for each that is open at most: what is forgotten of them is
/// looked for again. A choice: some 12 MiB with the usual bound.
const ENDED_FOR_OPEN: usize = 25;

/// How the search for the socket of a flow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    /// A packet of the flow was seen; not all connections have been looked through since.
    Wanted(Clue),
    /// So many looks through all connections were in vain.
    Scanning(Clue, u32),
    /// The socket with these addresses is the flow's.
    Found(Flow),
    /// No socket was found for a packet of this time, ns.
    GivenUp(u64),
}

/// What is known of the packet whose socket is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clue {
    time_ns: u64,
    seq: u32,
    ack: Option<u32>,
}

impl Lookup {
    /// What to look for; `None` when the search is over.
    fn clue(&self) -> Option<&Clue> {
        match self {
            Self::Wanted(clue) | Self::Scanning(clue, _) => Some(clue),
            Self::Found(_) | Self::GivenUp(_) => None,
        }
    }

    /// How the search stands after a look through all connections in vain.
    fn missed(self) -> Self {
        match self {
            Self::Wanted(clue) => Self::Scanning(clue, 1),
            Self::Scanning(clue, tries) if tries + 1 < MOST_TRIES => {
                Self::Scanning(clue, tries + 1)
            }
            Self::Scanning(clue, _) => Self::GivenUp(clue.time_ns),
            over => over,
        }
    }
}

impl Clue {
    /// Whether the socket lived when the packet was seen.
    fn may_be(&self, kept: &KeptSocket) -> bool {
        kept.closed_ns == 0 || kept.closed_ns.saturating_add(LINGER_NS) >= self.time_ns
    }

    /// Of these connections the one that fits the packet of this flow best.
    fn best(&self, flow: &Flow, all: &[KeptSocket], networks: &Networks) -> Option<KeptSocket> {
        all.iter()
            .filter(|kept| self.may_be(kept))
            .filter_map(|kept| {
                let (_, misfit) = belongs(&kept.socket, flow, self.seq, self.ack)?;
                let apart = networks.are_apart(flow.netns, kept.socket.flow.netns);
                (!apart || misfit <= CLOSE).then_some((apart, misfit, kept))
            })
            .min_by_key(|(apart, misfit, _)| (*misfit >= BY_ADDRESSES, *apart, *misfit))
            .map(|(_, _, kept)| *kept)
    }
}

/// The searches, and the sockets they have led to.
pub struct SocketLookup {
    /// Flows looked for at once at most: each is compared with each connection at each look.
    most_open: usize,
    /// Packets whose connection was not looked for, since there were so many.
    pub(crate) left_out: u64,
    lookups: HashMap<Flow, Lookup>,
    /// Those of them that are not over.
    open: Vec<Flow>,
    /// Flows and sockets none of the kept connections fits: theirs may be older than the trace.
    pub(crate) unseen: Vec<Flow>,
    /// Sockets that were told of a path MTU before they were announced.
    told: Vec<Flow>,
    /// Initial sequence numbers to look for: those of the other ends of known sockets.
    ends: HashSet<Isn>,
    /// When everything was looked through last, ns.
    pub(crate) scanned_ns: u64,
    pub(crate) announced: Announced,
    /// The network changes more often than something is looked for in it.
    index: Arc<TopologyIndex>,
}

impl SocketLookup {
    /// Looks for nothing yet.
    pub fn new(sizes: &Sizes) -> Self {
        Self {
            most_open: sizes.room(Store::Searches),
            left_out: 0,
            lookups: HashMap::new(),
            open: Vec::new(),
            unseen: Vec::new(),
            told: Vec::new(),
            ends: HashSet::new(),
            scanned_ns: 0,
            announced: Announced::new(sizes.room(Store::Announced)),
            index: Arc::default(),
        }
    }

    /// Takes over that the network is another one from now on.
    pub fn learn(&mut self, topology: &Arc<Topology>) {
        self.index = Arc::new(TopologyIndex::new(Arc::clone(topology)));
    }

    /// Notes what an event needs.
    pub fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Packet(packet) => self.packet(event.time_ns, packet),
            EventKind::Retransmit(retransmit) => {
                let socket = &retransmit.socket;
                let is_news = self.announced.note(socket, event.time_ns);
                if is_news && (socket.isn.is_some() || !retransmit.state.is_handshake()) {
                    self.other_end(socket);
                }
            }
            // It may come before anything is sent again, or alone: the router may be elsewhere.
            EventKind::PathMtu(told)
                if told.is_socket() && !self.announced.contains(&told.flow) =>
            {
                self.told.push(told.flow);
            }
            EventKind::Closed(closed) => self.close(&closed.flow),
            _ => {}
        }
    }

    fn packet(&mut self, time_ns: u64, packet: &Packet) {
        let passing = matches!(packet.what, PacketKind::Seen { .. });
        if let Some(tcp) = packet.tcp_of_ends() {
            // A SYN belongs to no established connection, and what only passes by is not lost.
            if tcp.has_ack && !tcp.syn && !passing {
                let (seq, ack) = (tcp.seq, Some(tcp.ack));
                self.want(packet.flow_of_ends(), Clue { time_ns, seq, ack });
            }
        } else if let Some(quoted) = packet.icmp_error.and_then(|error| error.quoted)
            && let Some(seq) = quoted.seq
        {
            let ack = quoted.ack;
            self.want(quoted.flow, Clue { time_ns, seq, ack });
        }
    }

    fn want(&mut self, flow: Flow, clue: Clue) {
        if flow.protocol != TCP {
            return;
        }
        let time_ns = clue.time_ns;
        match self.lookups.get(&flow) {
            Some(Lookup::Found(socket)) => return self.announced.touch(socket, time_ns),
            Some(Lookup::GivenUp(missed_ns)) if time_ns.saturating_sub(*missed_ns) >= MISSED_NS => {
            }
            Some(_) => return,
            None => {}
        }
        if self.lookups.len() - self.open.len() >= self.most_open.saturating_mul(ENDED_FOR_OPEN) {
            self.lookups.retain(|_, lookup| lookup.clue().is_some());
        }
        if self.open.len() < self.most_open {
            self.lookups.insert(flow, Lookup::Wanted(clue));
            self.open.push(flow);
        } else {
            self.left_out += 1;
        }
    }

    /// Looks for the other end of a socket; where handshakes were not seen, the other end's was not
    /// either.
    fn other_end(&mut self, socket: &Socket) {
        match socket.isn {
            Some(Isn { iss, irs }) => {
                let turned = Isn { iss: irs, irs: iss };
                self.ends.insert(turned);
            }
            None => self.unseen.push(socket.flow),
        }
    }

    /// Whether packets should wait for the next look through everything, which is soon: a packet that
    /// is told before its connection may be taken for another's.
    pub fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }

    /// Looks for what is wanted; through everything if that was not done a moment ago. Returns new
    /// events in the order they are to be taken, of the time `time_ns`: that of the first packet they
    /// are for.
    pub fn look(
        &mut self,
        table: &mut impl ConnectionTable,
        now_ns: u64,
        time_ns: u64,
    ) -> Vec<Event> {
        let mut found = self.exact(table);
        let is_due = now_ns.saturating_sub(self.scanned_ns) >= SCAN_EVERY_NS;
        if is_due && !(self.open.is_empty() && self.ends.is_empty()) {
            self.scanned_ns = now_ns;
            found.extend(self.scan(table));
        }
        let mut events = Vec::new();
        for flow in std::mem::take(&mut self.told) {
            if let Some(kept) = table.connection(&flow) {
                // Events that bring their socket with them may have followed at once: it is for those
                // before them.
                self.announced.remove(&flow);
                events.extend(self.announced.announce(&kept, table, time_ns));
                self.other_end(&kept.socket);
            }
        }
        for kept in found {
            events.extend(self.announced.announce(&kept, table, time_ns));
        }
        events
    }

    /// Finds the connections whose addresses are the packet's own.
    fn exact(&mut self, table: &impl ConnectionTable) -> Vec<KeptSocket> {
        self.advance(|flow, lookup| {
            let kept = table
                .connection(flow)
                .or_else(|| table.connection(&flow.reversed()))
                .filter(|kept| lookup.clue().is_some_and(|clue| clue.may_be(kept)));
            kept.ok_or(lookup)
        })
    }

    /// Finds the connections whose sequence numbers fit, and other ends of known ones.
    fn scan(&mut self, table: &impl ConnectionTable) -> Vec<KeptSocket> {
        let all: Vec<KeptSocket> = table.connections().collect();
        let index = Arc::clone(&self.index);
        let mut found = self.advance(|flow, lookup| {
            let best = |clue: &Clue| clue.best(flow, &all, index.networks());
            lookup.clue().and_then(best).ok_or(lookup.missed())
        });
        let ends = std::mem::take(&mut self.ends);
        let is_end = |kept: &&KeptSocket| kept.socket.isn.is_some_and(|isn| ends.contains(&isn));
        found.extend(all.iter().filter(is_end));
        found
    }

    /// Takes each open search one step on: `step` finds the flow's connection, or says how the search
    /// stands without.
    fn advance(
        &mut self,
        step: impl Fn(&Flow, Lookup) -> Result<KeptSocket, Lookup>,
    ) -> Vec<KeptSocket> {
        let mut found = Vec::new();
        for flow in std::mem::take(&mut self.open) {
            let Some(lookup) = self.lookups.get_mut(&flow) else {
                continue;
            };
            match step(&flow, *lookup) {
                Ok(kept) => {
                    *lookup = Lookup::Found(kept.socket.flow);
                    self.other_end(&kept.socket);
                    found.push(kept);
                }
                Err(next) => {
                    *lookup = next;
                    match next.clue() {
                        Some(_) => self.open.push(flow),
                        None => self.unseen.push(flow),
                    }
                }
            }
        }
        found
    }

    /// Announces, for what none of the kept connections fits, those of `old` that may: sockets whose
    /// handshakes were not seen.
    pub fn unseen(
        &mut self,
        table: &mut impl ConnectionTable,
        old: &[Socket],
        time_ns: u64,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for flow in std::mem::take(&mut self.unseen) {
            let fits = |socket: &&Socket| belongs(socket, &flow, 0, Some(0)).is_some();
            for socket in old.iter().filter(fits) {
                let networks = self.index.networks();
                if !networks.are_apart(flow.netns, socket.flow.netns) {
                    let kept = KeptSocket::from(*socket);
                    events.extend(self.announced.announce(&kept, table, time_ns));
                }
            }
        }
        events
    }

    /// Announces a socket that was found otherwise.
    pub fn add(
        &mut self,
        socket: Socket,
        table: &mut impl ConnectionTable,
        time_ns: u64,
    ) -> Vec<Event> {
        self.other_end(&socket);
        let kept = KeptSocket::from(socket);
        self.announced.announce(&kept, table, time_ns)
    }

    /// Notes that a socket is no longer there.
    pub fn close(&mut self, socket: &Flow) {
        if self.announced.close(socket) {
            // Its addresses may be used again by another connection.
            self.lookups
                .retain(|_, lookup| *lookup != Lookup::Found(*socket));
        }
    }
}

#[cfg(test)]
mod tests;
