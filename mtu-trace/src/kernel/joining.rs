//! Finds, among the connections the kernel programs keep, those that recent packets may belong to,
//! so that healthy connections need no event at all.
//!
//! What is found here is only offered: the correlator joins.

use std::collections::{HashMap, HashSet};

use super::maps::Maps;
use crate::{
    correlate::belongs,
    event::{Event, EventKind, Flow, Isn, Packet, Socket, TCP},
};

/// How often a packet's connection is looked for before it counts as unknown. A socket may be seen
/// a moment after its packets.
const MOST_TRIES: u32 = 20;
/// Flows remembered at most.
const MOST_FLOWS: usize = 50_000;

/// What is being looked for, and what was found.
#[derive(Default)]
pub struct Joining {
    wanted: HashMap<Flow, Wanted>,
    settled: HashSet<Flow>,
    offered: HashMap<Flow, Option<Isn>>,
    ends: HashSet<Isn>,
}

struct Wanted {
    seq: u32,
    ack: Option<u32>,
    tries: u32,
}

impl Joining {
    /// Notes what an event needs.
    pub fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Packet(packet) => self.packet(packet),
            EventKind::Retransmit(retransmit) => {
                self.offered
                    .insert(retransmit.socket.flow, retransmit.socket.isn);
                if let Some(isn) = retransmit.socket.isn {
                    self.other_end(isn);
                }
            }
            EventKind::Closed(closed) => {
                self.offered.remove(&closed.flow);
            }
            _ => {}
        }
    }

    fn packet(&mut self, packet: &Packet) {
        if let Some(tcp) = packet.tcp {
            self.want(packet.flow, tcp.seq, tcp.has_ack.then_some(tcp.ack));
        } else if let Some(quoted) = packet.icmp_error.and_then(|error| error.quoted)
            && let Some(seq) = quoted.seq
        {
            self.want(quoted.flow, seq, quoted.ack);
        }
    }

    fn want(&mut self, flow: Flow, seq: u32, ack: Option<u32>) {
        if flow.protocol != TCP || self.settled.contains(&flow) {
            return;
        }
        if self.settled.len() > MOST_FLOWS {
            self.settled.clear();
        }
        self.wanted
            .entry(flow)
            .or_insert(Wanted { seq, ack, tries: 0 });
    }

    /// The other end of a connection has its initial sequence numbers the other way round.
    fn other_end(&mut self, isn: Isn) {
        if self.ends.len() > MOST_FLOWS {
            self.ends.clear();
        }
        self.ends.insert(Isn {
            iss: isn.irs,
            irs: isn.iss,
        });
    }

    /// Whether there is anything to look for.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.ends.is_empty()
    }

    /// Looks through the kept connections. Returns new events in the order they are to be taken.
    pub fn look(&mut self, maps: &mut Maps, time_ns: u64) -> Vec<Event> {
        let kept: Vec<_> = maps.connections().collect();
        let mut found: Vec<usize> = Vec::new();
        for (flow, wanted) in &mut self.wanted {
            wanted.tries += 1;
            let best = kept
                .iter()
                .enumerate()
                .filter_map(|(index, kept)| {
                    let (_, misfit) = belongs(&kept.socket, flow, wanted.seq, wanted.ack)?;
                    Some((misfit, index))
                })
                .min();
            if let Some((_, index)) = best {
                found.push(index);
                self.settled.insert(*flow);
            }
        }
        let settled = &self.settled;
        self.wanted
            .retain(|flow, wanted| wanted.tries < MOST_TRIES && !settled.contains(flow));
        let others: Vec<Isn> = found
            .iter()
            .filter_map(|&index| kept[index].socket.isn)
            .collect();
        for isn in others {
            self.other_end(isn);
        }
        for (index, kept) in kept.iter().enumerate() {
            if kept.socket.isn.is_some_and(|isn| self.ends.contains(&isn)) {
                found.push(index);
            }
        }
        self.ends.clear();
        let mut events = Vec::new();
        for index in found {
            let kept = &kept[index];
            if self.is_offered(&kept.socket) {
                continue;
            }
            maps.watch(&kept.socket.flow);
            events.push(Event {
                time_ns,
                kind: EventKind::Connection(kept.socket),
            });
            if let Some(closed) = kept.closed {
                events.push(Event {
                    time_ns,
                    kind: EventKind::Closed(closed),
                });
            } else {
                self.offered.insert(kept.socket.flow, kept.socket.isn);
            }
        }
        events
    }

    fn is_offered(&self, socket: &Socket) -> bool {
        self.offered.get(&socket.flow) == Some(&socket.isn)
    }

    /// The sockets worth asking about: those that were offered and are not closed.
    pub fn sockets(&self) -> impl Iterator<Item = Flow> {
        self.offered.keys().copied()
    }

    /// Forgets a socket that is no longer there.
    pub fn forget(&mut self, socket: &Flow) {
        self.offered.remove(socket);
    }
}
