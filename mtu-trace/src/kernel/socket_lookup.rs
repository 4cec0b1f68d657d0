//! Finds, among the connections the kernel programs keep, those that recent packets may belong to,
//! so that healthy connections need no event at all.
//!
//! What is found here is only offered: the correlator joins.

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    core::{
        graph::Networks,
        track::{BY_ADDRESSES, CLOSE, belongs},
    },
    kernel::{
        maps::{Kept, Maps},
        socket_poller::Patrol,
    },
    model::{
        event::{Event, EventKind, Flow, Isn, Packet, PacketKind, Socket, TCP},
        network::Topology,
    },
};

/// How often a packet's connection is looked for before it counts as unknown. A socket may be seen
/// a moment after its packets.
const MOST_TRIES: u32 = 4;
/// How long a flow that was looked for in vain is left alone, ns.
const MISSED_NS: u64 = 30_000_000_000;
/// Looking through all connections takes two system calls for each: not more often than this, ns.
const SCAN_EVERY_NS: u64 = 50_000_000;
/// Flows looked for at once, and flows remembered, at most.
const MOST_WANTED: usize = 4096;
const MOST_SETTLED: usize = 50_000;
/// How long a socket is asked about after the last event of it: the longest retransmission timeout
/// (`TCP_RTO_MAX`), ns.
const INTEREST_NS: u64 = 120_000_000_000;

/// Packets of a connection that may still be seen after its end here, ns.
const LINGER_NS: u64 = 1_000_000_000;

/// What is being looked for, and what was found.
#[derive(Default)]
pub struct Joining {
    wanted: HashMap<Flow, Wanted>,
    /// Flows whose socket is known.
    settled: HashMap<Flow, Flow>,
    /// Flows looked for in vain, and when.
    missed: HashMap<Flow, u64>,
    /// Flows just given up: their connections may be older than the trace.
    given_up: Vec<Flow>,
    offered: HashMap<Flow, Offered>,
    /// Sockets that were told something before they were offered.
    told: Vec<Flow>,
    /// Initial sequence numbers of sockets looked for: other ends of known ones.
    ends: HashSet<Isn>,
    scanned_ns: u64,
    turn: usize,
    topology: Arc<Topology>,
    /// Its networks, once they are asked for: it changes more often than something is looked for.
    networks: OnceCell<Networks>,
}

struct Wanted {
    time_ns: u64,
    seq: u32,
    ack: Option<u32>,
    tries: u32,
}

impl Wanted {
    /// Whether the socket lived when the packet was seen.
    fn may_be(&self, kept: &Kept) -> bool {
        kept.closed_ns == 0 || kept.closed_ns.saturating_add(LINGER_NS) >= self.time_ns
    }
}

struct Offered {
    isn: Option<Isn>,
    active: Option<bool>,
    last_ns: u64,
    closed: bool,
}

impl Joining {
    /// The network is another one from now on.
    pub fn learn(&mut self, topology: &Arc<Topology>) {
        self.topology = Arc::clone(topology);
        self.networks = OnceCell::new();
    }

    fn networks(&self) -> &Networks {
        self.networks.get_or_init(|| Networks::new(&self.topology))
    }

    /// Notes what an event needs.
    pub fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Packet(packet) => self.packet(event.time_ns, packet),
            EventKind::Retransmit(retransmit) => {
                let Socket {
                    flow, isn, active, ..
                } = retransmit.socket;
                let known = self.offered.get(&flow);
                let news = known.is_none_or(|known| known.isn != isn);
                let active = active.or_else(|| known?.active);
                self.offered.insert(
                    flow,
                    Offered {
                        isn,
                        active,
                        last_ns: event.time_ns,
                        closed: false,
                    },
                );
                match isn.filter(|_| news) {
                    Some(isn) => {
                        self.ends.insert(turned(isn));
                    }
                    // Its handshake was not seen: neither was the other end's.
                    None if news && !retransmit.state.is_handshake() => self.given_up.push(flow),
                    None => {}
                }
            }
            // It may come before anything is sent again, or alone: the router may be elsewhere.
            EventKind::PathMtu(told)
                if told.is_socket() && !self.offered.contains_key(&told.flow) =>
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
                self.want(time_ns, packet.flow_of_ends(), tcp.seq, Some(tcp.ack));
            }
        } else if let Some(quoted) = packet.icmp_error.and_then(|error| error.quoted)
            && let Some(seq) = quoted.seq
        {
            self.want(time_ns, quoted.flow, seq, quoted.ack);
        }
    }

    fn want(&mut self, time_ns: u64, flow: Flow, seq: u32, ack: Option<u32>) {
        if flow.protocol != TCP {
            return;
        }
        if let Some(socket) = self.settled.get(&flow) {
            if let Some(offered) = self.offered.get_mut(socket) {
                offered.last_ns = offered.last_ns.max(time_ns);
            }
            return;
        }
        let missed = self.missed.get(&flow);
        if missed.is_some_and(|missed_ns| time_ns.saturating_sub(*missed_ns) < MISSED_NS) {
            return;
        }
        if self.settled.len() >= MOST_SETTLED {
            self.settled.clear();
        }
        if self.wanted.len() < MOST_WANTED {
            self.wanted.entry(flow).or_insert(Wanted {
                time_ns,
                seq,
                ack,
                tries: 0,
            });
        }
    }

    /// Whether packets should wait for the next look through everything, which is soon: a packet that
    /// is told before its connection may be taken for another's.
    pub fn is_waiting(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Looks for what is wanted; through everything if that was not done a moment ago, or if this
    /// is the `last` look. Returns new events in the order they are to be taken.
    ///
    /// The events get the time `time_ns`, that of the first packet they are for.
    pub fn look(&mut self, maps: &mut Maps, now_ns: u64, time_ns: u64, last: bool) -> Vec<Event> {
        let mut found = self.exact(maps);
        let due = last || now_ns.saturating_sub(self.scanned_ns) >= SCAN_EVERY_NS;
        if due && !(self.wanted.is_empty() && self.ends.is_empty()) {
            self.scanned_ns = now_ns;
            found.extend(self.scan(maps));
        }
        let mut events = Vec::new();
        for flow in std::mem::take(&mut self.told) {
            if let Some(kept) = maps.connection(&flow) {
                // Events that bring their socket with them may have followed at once: it is for those
                // before them.
                self.offered.remove(&flow);
                self.offer(&kept, maps, time_ns, &mut events);
                self.ends.extend(kept.socket.isn.map(turned));
            }
        }
        for kept in found {
            self.offer(&kept, maps, time_ns, &mut events);
        }
        events
    }

    /// Whether [`Joining::older`] has something to look for.
    pub fn is_any_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    /// Offers, where none of the kept connections fits, those whose handshakes were not seen.
    pub fn older(&mut self, maps: &mut Maps, patrol: &Patrol, time_ns: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for flow in std::mem::take(&mut self.given_up) {
            let may_meet =
                |socket: &Socket| !self.networks().are_apart(flow.netns, socket.flow.netns);
            let older: Vec<Socket> = patrol.older(&flow).filter(may_meet).collect();
            for socket in older {
                self.offer(&Kept::open(socket), maps, time_ns, &mut events);
            }
        }
        events
    }

    /// Those whose addresses are the packet's own.
    fn exact(&mut self, maps: &Maps) -> Vec<Kept> {
        let mut found = Vec::new();
        for (flow, wanted) in &self.wanted {
            let kept = maps
                .connection(flow)
                .or_else(|| maps.connection(&flow.reversed()))
                .filter(|kept| wanted.may_be(kept));
            if let Some(kept) = kept {
                self.settled.insert(*flow, kept.socket.flow);
                self.ends.extend(kept.socket.isn.map(turned));
                found.push(kept);
            }
        }
        self.forget_settled();
        found
    }

    /// Those whose sequence numbers fit, and other ends of known ones.
    fn scan(&mut self, maps: &Maps) -> Vec<Kept> {
        let kept: Vec<Kept> = maps.connections().collect();
        let networks = self.networks.get_or_init(|| Networks::new(&self.topology));
        let mut found = Vec::new();
        for (flow, wanted) in &mut self.wanted {
            wanted.tries += 1;
            let best = kept
                .iter()
                .filter(|kept| wanted.may_be(kept))
                .filter_map(|kept| {
                    let (_, misfit) = belongs(&kept.socket, flow, wanted.seq, wanted.ack)?;
                    let apart = networks.are_apart(flow.netns, kept.socket.flow.netns);
                    (!apart || misfit <= CLOSE).then_some((apart, misfit, kept))
                })
                .min_by_key(|(apart, misfit, _)| (*misfit >= BY_ADDRESSES, *apart, *misfit));
            if let Some((_, _, kept)) = best {
                self.settled.insert(*flow, kept.socket.flow);
                self.ends.extend(kept.socket.isn.map(turned));
                found.push(*kept);
            }
        }
        self.forget_settled();
        let ends = std::mem::take(&mut self.ends);
        found.extend(
            kept.iter()
                .filter(|kept| kept.socket.isn.is_some_and(|isn| ends.contains(&isn))),
        );
        found
    }

    fn forget_settled(&mut self) {
        if self.missed.len() >= MOST_SETTLED {
            self.missed.clear();
        }
        let (settled, missed) = (&self.settled, &mut self.missed);
        let given_up = &mut self.given_up;
        self.wanted.retain(|flow, wanted| {
            if settled.contains_key(flow) {
                return false;
            }
            if wanted.tries >= MOST_TRIES {
                missed.insert(*flow, wanted.time_ns);
                given_up.push(*flow);
                return false;
            }
            true
        });
    }

    fn offer(&mut self, kept: &Kept, maps: &mut Maps, time_ns: u64, events: &mut Vec<Event>) {
        let Socket {
            flow, isn, active, ..
        } = kept.socket;
        let same =
            |known: &Offered| known.isn == isn && (known.active == active || active.is_none());
        if self.offered.get(&flow).is_some_and(same) {
            return;
        }
        maps.watch(&flow);
        self.offered.insert(
            flow,
            Offered {
                isn,
                active,
                last_ns: time_ns,
                closed: kept.closed.is_some(),
            },
        );
        events.push(Event {
            time_ns,
            kind: EventKind::Connection(kept.socket),
        });
        if let Some(closed) = kept.closed {
            events.push(Event {
                time_ns,
                kind: EventKind::Closed(closed),
            });
        }
    }

    /// Whether a socket has been offered.
    pub fn is_offered(&self, socket: &Flow) -> bool {
        self.offered.contains_key(socket)
    }

    /// Offers a socket that was found otherwise.
    pub fn add(&mut self, socket: Socket, maps: &mut Maps, time_ns: u64) -> Vec<Event> {
        let mut events = Vec::new();
        self.offer(&Kept::open(socket), maps, time_ns, &mut events);
        match socket.isn {
            Some(isn) => {
                self.ends.insert(turned(isn));
            }
            None => self.given_up.push(socket.flow),
        }
        events
    }

    /// The next sockets worth asking about, `most` of them, in turn.
    pub fn sockets(&mut self, most: usize, now_ns: u64) -> Vec<Flow> {
        let live: Vec<Flow> = self
            .offered
            .iter()
            .filter(|(_, offered)| {
                !offered.closed && now_ns.saturating_sub(offered.last_ns) < INTEREST_NS
            })
            .map(|(flow, _)| *flow)
            .collect();
        if live.is_empty() {
            return live;
        }
        let start = self.turn % live.len();
        self.turn = start + most;
        live.iter()
            .cycle()
            .skip(start)
            .take(most.min(live.len()))
            .copied()
            .collect()
    }

    /// Notes that a socket is no longer there.
    pub fn close(&mut self, socket: &Flow) {
        let Some(offered) = self.offered.get_mut(socket) else {
            return;
        };
        offered.closed = true;
        // Its addresses may be used again by another connection.
        self.settled.retain(|_, settled| settled != socket);
        if self.offered.len() > MOST_SETTLED {
            self.offered.retain(|_, offered| !offered.closed);
        }
    }
}

/// The other end's initial sequence numbers.
fn turned(isn: Isn) -> Isn {
    Isn {
        iss: isn.irs,
        irs: isn.iss,
    }
}
