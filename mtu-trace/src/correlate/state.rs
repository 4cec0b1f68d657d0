//! The state that events add up to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    connection::{Connection, End, Side},
    join::belongs,
    site::{netfilter_hook, oversized},
    track::{Blocked, OtherDrops, OtherKey, Retransmits, SiteDrops, Track},
};
use crate::{
    event::{
        Closed, Count, Event, EventKind, Flow, IcmpError, Isn, Packet, PacketKind, Retransmit,
        Sample, Socket, TCP, UDP,
    },
    topology::Topology,
};

/// Connections kept at most; quiet ones that nothing ails go first.
const MOST_CONNECTIONS: usize = 20_000;

/// How much worse the same connection may fit on the other side of a NAT: the data between its first
/// losses there and here.
const NEAR: u64 = 1 << 20;

/// A connection's number in the order of first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// Everything known so far.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The network as it is now.
    pub topology: Arc<Topology>,
    /// Time of the latest event, ns.
    pub now_ns: u64,
    /// Events so far, ticks and topology left out.
    pub events: u64,
    /// Records of our own that were lost.
    pub lost: u64,
    connections: BTreeMap<ConnectionId, Connection>,
    sockets: HashMap<Flow, (ConnectionId, usize)>,
    flows: HashMap<Flow, (ConnectionId, Side)>,
    isns: HashMap<Isn, ConnectionId>,
    next: u64,
}

impl State {
    /// Connections in the order of first sight.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.connections.iter().map(|(id, found)| (*id, found))
    }

    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        self.now_ns = self.now_ns.max(event.time_ns);
        if !matches!(event.kind, EventKind::Tick | EventKind::Topology(_)) {
            self.events += 1;
        }
        match &event.kind {
            EventKind::Topology(topology) => self.topology = Arc::clone(topology),
            EventKind::Connection(socket) => {
                self.socket(*socket);
            }
            EventKind::Packet(packet) => self.packet(event.time_ns, packet),
            EventKind::Retransmit(retransmit) => self.retransmit(event.time_ns, retransmit),
            EventKind::Sample(sample) => self.sample(event.time_ns, sample),
            EventKind::Closed(closed) => self.closed(event.time_ns, closed),
            EventKind::Count(count) => self.count(count),
            EventKind::Lost(lost) => self.lost = *lost,
            EventKind::Tick => {}
        }
    }

    /// The connection of a socket, made if it is new.
    fn socket(&mut self, socket: Socket) -> (ConnectionId, usize) {
        if let Some(&(id, index)) = self.sockets.get(&socket.flow)
            && let Some(connection) = self.connections.get_mut(&id)
        {
            let end = &mut connection.ends[index];
            if end.socket.isn.is_none() || socket.isn.is_none() || end.socket.isn == socket.isn {
                if end.socket.isn.is_none() && socket.isn.is_some() {
                    end.socket = socket;
                    end.established = true;
                    self.isns.extend(socket.isn.map(|isn| (isn, id)));
                    self.unite(id, &socket);
                }
                return (id, index);
            }
            // The addresses are used again by a new connection: forget what pointed to the old.
            self.flows.retain(|_, (known, _)| *known != id);
        }
        let place = self
            .other_end(&socket)
            .or_else(|| self.adopt(&socket))
            .unwrap_or_else(|| {
                let id = self.insert(Connection::new(Vec::new()));
                (id, 0)
            });
        if let Some(connection) = self.connections.get_mut(&place.0) {
            connection.ends.insert(place.1, End::new(socket));
            let outwards = if place.1 == 0 {
                socket.flow
            } else {
                socket.flow.reversed()
            };
            connection.seen_as.insert(outwards);
        }
        self.sockets.insert(socket.flow, place);
        self.isns.extend(socket.isn.map(|isn| (isn, place.0)));
        place
    }

    /// A connection whose one known end is the other end of this socket: their initial sequence
    /// numbers are each other's.
    fn other_end(&self, socket: &Socket) -> Option<(ConnectionId, usize)> {
        let isn = socket.isn?;
        let id = *self.isns.get(&Isn {
            iss: isn.irs,
            irs: isn.iss,
        })?;
        (self.connections.get(&id)?.ends.len() == 1).then_some((id, 1))
    }

    /// Makes the other end's connection a part of this one, whose only end was not known to be that
    /// one's until now: its SYN was sent again, before it had initial sequence numbers.
    fn unite(&mut self, id: ConnectionId, socket: &Socket) {
        let Some((other, _)) = self.other_end(socket).filter(|(other, _)| *other != id) else {
            return;
        };
        if self
            .connections
            .get(&id)
            .is_none_or(|it| it.ends.len() != 1)
        {
            return;
        }
        self.turn(other);
        let Some(end) = self
            .connections
            .get_mut(&other)
            .and_then(|it| it.ends.pop())
        else {
            return;
        };
        self.sockets.insert(end.socket.flow, (id, 1));
        self.isns.extend(end.socket.isn.map(|isn| (isn, id)));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ends.push(end);
        }
        self.absorb(id, other);
    }

    /// The connection known only from packets that belong to this socket. What they went by on both
    /// sides of a NAT becomes one.
    fn adopt(&mut self, socket: &Socket) -> Option<(ConnectionId, usize)> {
        let mut found: Vec<(u64, ConnectionId, Side)> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.ends.is_empty())
            .filter_map(|(id, connection)| {
                let (seq, ack) = connection.first_numbers?;
                let flow = connection.seen_as.first()?;
                belongs(socket, flow, seq, ack).map(|(side, misfit)| (misfit, *id, side))
            })
            .collect();
        // One that fits far worse than the best is somebody else's.
        let best = found.iter().map(|(misfit, ..)| *misfit).min()?;
        found.retain(|(misfit, ..)| *misfit <= best.saturating_add(NEAR));
        let found: Vec<(ConnectionId, Side)> =
            found.into_iter().map(|(_, id, side)| (id, side)).collect();
        for (id, _) in found.iter().filter(|(_, side)| *side == Side::In) {
            self.turn(*id);
        }
        let (&(id, _), others) = found.split_first()?;
        for (other, _) in others {
            self.absorb(id, *other);
        }
        Some((id, 0))
    }

    /// Makes SYNs that were lost on the way a part of the connection that sends them: it has no
    /// initial sequence numbers yet but theirs.
    fn adopt_syns(&mut self, id: ConnectionId, index: usize, seq: u32) {
        let lost: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                connection.ends.is_empty() && connection.first_numbers == Some((seq, None))
            })
            .map(|(id, _)| *id)
            .collect();
        for other in lost {
            if Connection::sends(index) == Side::In {
                self.turn(other);
            }
            self.absorb(id, other);
        }
    }

    /// Exchanges the two directions of a connection.
    fn turn(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        std::mem::swap(&mut connection.out, &mut connection.incoming);
        connection.seen_as = connection
            .seen_as
            .iter()
            .map(|flow| flow.reversed())
            .collect();
        for (known, side) in self.flows.values_mut() {
            if *known == id {
                *side = side.flip();
            }
        }
    }

    /// Makes another connection a part of this one.
    fn absorb(&mut self, id: ConnectionId, other: ConnectionId) {
        let Some(part) = self.connections.remove(&other) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.seen_as.extend(part.seen_as);
        connection.out.merge(part.out);
        connection.incoming.merge(part.incoming);
        connection.last_ns = connection.last_ns.max(part.last_ns);
        for (known, _) in self.flows.values_mut() {
            if *known == other {
                *known = id;
            }
        }
    }

    fn insert(&mut self, connection: Connection) -> ConnectionId {
        if self.connections.len() >= MOST_CONNECTIONS {
            self.make_room();
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        self.connections.insert(id, connection);
        id
    }

    fn make_room(&mut self) {
        let mut quiet: Vec<(u64, ConnectionId)> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                connection.out.oversized.is_empty() && connection.incoming.oversized.is_empty()
            })
            .map(|(id, connection)| (connection.last_ns, *id))
            .collect();
        if quiet.len() < MOST_CONNECTIONS / 10 {
            // Nothing but troubled ones: the oldest of them go.
            quiet.extend(
                self.connections
                    .iter()
                    .map(|(id, connection)| (connection.last_ns, *id)),
            );
        }
        quiet.sort_unstable();
        let gone: BTreeSet<ConnectionId> = quiet
            .iter()
            .take(MOST_CONNECTIONS / 10)
            .map(|(_, id)| *id)
            .collect();
        self.connections.retain(|id, _| !gone.contains(id));
        self.sockets.retain(|_, (id, _)| !gone.contains(id));
        self.flows.retain(|_, (id, _)| !gone.contains(id));
        self.isns.retain(|_, id| !gone.contains(id));
    }

    /// The connection a packet belongs to, and its direction there. One is made for a packet that
    /// belongs to no known socket.
    fn find(&mut self, flow: Flow, seq: u32, ack: Option<u32>) -> (ConnectionId, Side) {
        if let Some(found) = self.look_up(flow, seq, ack) {
            return found;
        }
        let mut connection = Connection::new(Vec::new());
        connection.seen_as.insert(flow);
        connection.first_numbers = Some((seq, ack));
        let id = self.insert(connection);
        self.flows.insert(flow, (id, Side::Out));
        self.flows.insert(flow.reversed(), (id, Side::In));
        (id, Side::Out)
    }

    fn look_up(&mut self, flow: Flow, seq: u32, ack: Option<u32>) -> Option<(ConnectionId, Side)> {
        if let Some(&found) = self.flows.get(&flow) {
            return Some(found);
        }
        let (_, id, side) = self
            .connections
            .iter()
            .flat_map(|(id, connection)| {
                connection
                    .ends
                    .iter()
                    .enumerate()
                    .map(move |(index, end)| (*id, index, end))
            })
            .filter_map(|(id, index, end)| {
                let (side, misfit) = belongs(&end.socket, &flow, seq, ack)?;
                let side = if index == 0 { side } else { side.flip() };
                Some((misfit, id, side))
            })
            .min_by_key(|(misfit, id, _)| (*misfit, std::cmp::Reverse(*id)))?;
        let connection = self.connections.get_mut(&id)?;
        let (outwards, side_of) = match side {
            Side::Out => (flow, Side::Out),
            Side::In => (flow.reversed(), Side::In),
        };
        connection.seen_as.insert(outwards);
        self.flows.insert(flow, (id, side_of));
        self.flows.insert(flow.reversed(), (id, side_of.flip()));
        Some((id, side))
    }

    fn packet(&mut self, time_ns: u64, packet: &Packet) {
        if let Some(error) = &packet.icmp_error {
            self.icmp_message(packet, error);
            return;
        }
        if packet.flow.protocol != TCP && packet.flow.protocol != UDP {
            return;
        }
        let (seq, ack) = match packet.tcp {
            Some(tcp) => (tcp.seq, tcp.has_ack.then_some(tcp.ack)),
            None => (0, None),
        };
        let found = if matches!(packet.what, PacketKind::Seen { .. }) {
            // What only passes by is evidence for a loss, not one itself.
            self.flows.get(&packet.flow).copied()
        } else {
            Some(self.find(packet.flow, seq, ack))
        };
        let Some((id, side)) = found else {
            return;
        };
        let topology = Arc::clone(&self.topology);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.last_ns = time_ns;
        // The kernel counts by addresses and place: what it had counted there before this connection
        // was opened was lost by another one with the same addresses.
        let opened = connection.ends.iter().map(|end| end.socket.opened_ns);
        let opened_ns = opened.filter(|&ns| ns > 0).min().unwrap_or(0);
        let (before, first_ns) = if packet.first_ns < opened_ns {
            (packet.count.saturating_sub(1), time_ns)
        } else {
            (0, packet.first_ns.min(time_ns))
        };
        let track = connection.track_mut(side);
        match &packet.what {
            PacketKind::Dropped { function, reason } => {
                if let Some(site) = oversized(packet, &topology) {
                    if packet.tcp.is_some() {
                        track.holes.lost(seq, time_ns);
                    }
                    let drops =
                        track
                            .oversized
                            .entry(site.key.clone())
                            .or_insert_with(|| SiteDrops {
                                site: site.clone(),
                                count: 0,
                                before,
                                first_ns,
                                last_ns: time_ns,
                            });
                    drops.site = site;
                    drops.count = drops.count.max(packet.count.saturating_sub(drops.before));
                    drops.last_ns = drops.last_ns.max(time_ns);
                } else if let Some(tcp) = packet.tcp {
                    let key = OtherKey {
                        netns: packet.flow.netns,
                        function: function.clone(),
                        reason: reason.clone(),
                        hook: netfilter_hook(packet),
                    };
                    let drops = track.other.entry(key).or_insert_with(|| OtherDrops {
                        count: 0,
                        first_ns,
                        last_ns: time_ns,
                        device: packet.device.clone(),
                        largest_bytes: 0,
                        syn: false,
                    });
                    drops.count = drops.count.max(packet.count);
                    drops.last_ns = drops.last_ns.max(time_ns);
                    drops.largest_bytes = drops.largest_bytes.max(packet.length_bytes);
                    drops.syn |= tcp.syn;
                }
            }
            PacketKind::IcmpSent => {
                track.icmp.generated = track.icmp.generated.max(packet.count);
            }
            PacketKind::Seen { egress, .. } => {
                let key = (packet.device.netns, packet.device.ifindex, *egress);
                let seen = track.seen.entry(key).or_default();
                *seen = packet.count.max(*seen);
            }
        }
    }

    /// An ICMP error on its way or dropped: it belongs to the connection of the packet it quotes.
    fn icmp_message(&mut self, packet: &Packet, error: &IcmpError) {
        let Some(quoted) = error.quoted else {
            return;
        };
        let Some((id, side)) = self.look_up(quoted.flow, quoted.seq.unwrap_or(0), quoted.ack)
        else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let icmp = &mut connection.track_mut(side).icmp;
        icmp.mtu_bytes = Some(error.mtu_bytes);
        match &packet.what {
            PacketKind::Dropped { function, reason } => {
                let hook = netfilter_hook(packet);
                let netns = packet.device.netns;
                let known = icmp.blocked.iter_mut().find(|known| {
                    known.netns == netns && known.hook == hook && known.function == *function
                });
                match known {
                    Some(known) => known.count = known.count.max(packet.count),
                    None => icmp.blocked.push(Blocked {
                        netns,
                        hook,
                        device: packet.has_device.then(|| packet.device.clone()),
                        function: function.clone(),
                        reason: reason.clone(),
                        count: packet.count,
                    }),
                }
            }
            PacketKind::Seen { egress, .. } => {
                let key = (packet.device.netns, packet.device.ifindex, *egress);
                let seen = icmp.seen.entry(key).or_default();
                *seen = packet.count.max(*seen);
            }
            PacketKind::IcmpSent => {}
        }
    }

    fn retransmit(&mut self, time_ns: u64, retransmit: &Retransmit) {
        let (id, index) = self.socket(retransmit.socket);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.last_ns = time_ns;
        let handshake = retransmit.state.is_handshake();
        let end = &mut connection.ends[index];
        end.established |= !handshake;
        end.retransmit = Some(retransmit.clone());
        let track = connection.track_mut(Connection::sends(index));
        track.sender_mss = Some(retransmit.mss_cache);
        track.sender_pmtu_bytes = Some(retransmit.pmtu_bytes);
        let sent = track.retransmits.get_or_insert_with(|| Retransmits {
            first_ns: time_ns,
            ..Retransmits::default()
        });
        sent.count = sent.count.max(retransmit.count);
        sent.last_ns = sent.last_ns.max(time_ns);
        sent.max_backoff = sent.max_backoff.max(retransmit.backoff);
        sent.largest_payload = sent
            .largest_payload
            .max(retransmit.end_seq.wrapping_sub(retransmit.seq));
        if handshake {
            sent.handshake = sent.count;
            self.adopt_syns(id, index, retransmit.seq);
            return;
        }
        // First what is through, so that the new loss is not taken for one that waits behind it.
        track.through(retransmit.snd_una, time_ns);
        if let Some(sent) = &mut track.retransmits {
            sent.repeats.lost(retransmit.seq, time_ns);
        }
    }

    fn sample(&mut self, time_ns: u64, sample: &Sample) {
        let Some(&(id, index)) = self.sockets.get(&sample.flow) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let end = &mut connection.ends[index];
        end.established |= !sample.state.is_handshake();
        let before = end.sample.replace(*sample);
        let snd_una = end.snd_una(sample.bytes_acked);
        let rcv_nxt = end.rcv_nxt(sample.bytes_received);
        let sends = Connection::sends(index);
        let out = connection.track_mut(sends);
        out.sender_mss = Some(sample.mss);
        out.sender_pmtu_bytes = Some(sample.pmtu_bytes);
        let moved = before.is_some_and(|before| before.bytes_acked < sample.bytes_acked);
        progress(out, snd_una, moved, time_ns);
        let received = before.is_some_and(|before| before.bytes_received < sample.bytes_received);
        progress(
            connection.track_mut(sends.flip()),
            rcv_nxt,
            received,
            time_ns,
        );
    }

    fn closed(&mut self, time_ns: u64, closed: &Closed) {
        let Some(&(id, index)) = self.sockets.get(&closed.flow) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.last_ns = time_ns;
        let end = &mut connection.ends[index];
        end.established |= !closed.last_state.is_handshake();
        end.closed = Some(*closed);
        let snd_una = end.snd_una(closed.bytes_acked);
        let rcv_nxt = end.rcv_nxt(closed.bytes_received);
        let sends = Connection::sends(index);
        let out = connection.track_mut(sends);
        progress(out, snd_una, false, time_ns);
        if closed.error == 0 && closed.unacknowledged == 0 && closed.last_state.is_orderly_close() {
            out.complete(time_ns);
        }
        progress(connection.track_mut(sends.flip()), rcv_nxt, false, time_ns);
    }

    fn count(&mut self, count: &Count) {
        match count {
            Count::Dropped {
                flow,
                function,
                count,
                last_ns,
            } => {
                let Some(&(id, side)) = self.flows.get(flow) else {
                    return;
                };
                let Some(connection) = self.connections.get_mut(&id) else {
                    return;
                };
                for (key, drops) in &mut connection.track_mut(side).oversized {
                    if key.function == *function && key.netns == flow.netns {
                        drops.count = drops.count.max(count.saturating_sub(drops.before));
                        drops.last_ns = drops.last_ns.max(*last_ns);
                    }
                }
            }
            Count::Retransmitted {
                flow,
                count,
                last_ns,
            } => {
                let Some(&(id, index)) = self.sockets.get(flow) else {
                    return;
                };
                let Some(connection) = self.connections.get_mut(&id) else {
                    return;
                };
                let track = connection.track_mut(Connection::sends(index));
                if let Some(sent) = &mut track.retransmits {
                    sent.count = sent.count.max(*count);
                    sent.last_ns = sent.last_ns.max(*last_ns);
                }
            }
        }
    }
}

/// Tells a direction how far its data has come: exactly where sequence numbers are known, else by
/// the mere fact that it moved.
fn progress(track: &mut Track, upto: Option<u32>, moved: bool, time_ns: u64) {
    match upto {
        Some(seq) => track.through(seq, time_ns),
        None if moved => track.complete(time_ns),
        None => {}
    }
    if moved {
        track.progress_ns = Some(time_ns);
    }
}
