//! Sockets and packets find their connection, and the ends of one connection find each other.

use std::cmp::Reverse;

use crate::core::track::connection::{Connection, Side, TrackedSocket, insert_flows};
use crate::core::track::seq_match::{BY_ADDRESSES, CLOSE, alike, belongs};
use crate::core::track::state::{ConnectionId, DirectionId, State};
use crate::model::event::{Flow, Isn, Socket, TcpState, hook};

/// How much worse the same connection may fit on the other side of a NAT, bytes: the data between its
/// first losses there and here. A choice: a window of data, so that what another connection fits by is
/// not taken for the same one.
const NEAR_BYTES: u64 = 1 << 20;

/// A connection that a socket or a packet may be of. The one that is least in order fits best: numbers
/// come before addresses, then what is connected, then what fits more exactly, then what is newer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Whether only addresses speak for it.
    by_addresses: bool,
    /// Whether its network is known to have nothing to do with the one asked from.
    apart: bool,
    /// How badly it fits, see [`belongs`].
    misfit: u64,
    newest: Reverse<ConnectionId>,
    /// The direction in which the socket sends that fits.
    end: Side,
    /// The direction of the packet, or that in which the socket sends.
    side: Side,
}

impl Candidate {
    fn id(&self) -> ConnectionId {
        self.newest.0
    }

    /// The one that fits best; `None` if there is none, or where addresses alone speak, and speak for
    /// two.
    fn best(mut candidates: Vec<Self>) -> Option<Self> {
        candidates.sort_unstable();
        let best = *candidates.first()?;
        let is_twin = |twin: &Self| {
            (twin.apart, twin.misfit) == (best.apart, best.misfit) && twin.id() != best.id()
        };
        let has_twin = best.by_addresses && candidates.get(1).is_some_and(is_twin);
        (!has_twin).then_some(best)
    }
}

impl State {
    /// The connection of a socket, made if it is new, and the direction in which the socket sends.
    pub(crate) fn socket(&mut self, socket: Socket, state: TcpState) -> DirectionId {
        if let Some(&(id, side)) = self.sockets.get(&socket.flow)
            && let Some(end) = self.get(id).and_then(|it| it.sender(side))
        {
            let known = end.socket;
            if known.isn.is_none() && socket.isn.is_some() {
                self.learn_numbers((id, side), socket);
                return (id, side);
            }
            if socket.isn.is_none() || known.isn == socket.isn {
                if known.active.is_none()
                    && socket.active.is_some()
                    && let Some(end) = self.edit(id).and_then(|it| it.sender_mut(side))
                {
                    end.socket.active = socket.active;
                }
                return (id, side);
            }
            // The addresses are used again by a new connection: forget what pointed to the old.
            let flows = self.edit(id).map(|it| std::mem::take(&mut it.flows));
            self.forget_flows(id, &flows.unwrap_or_default());
        }
        let known = self
            .other_end(&socket)
            .or_else(|| self.facing_end(&socket, state))
            .or_else(|| self.adopt(&socket));
        let end = TrackedSocket::new(socket, state);
        let place = match known {
            Some((id, side)) => {
                self.rearrange(id, |connection| {
                    insert_flows(&mut connection.seen_as, [side.outwards(socket.flow)]);
                    connection.add_end(end);
                });
                (id, side)
            }
            None => (self.insert(Connection::of_socket(end)), Side::Out),
        };
        self.sockets.insert(socket.flow, place);
        self.isns.extend(socket.isn.map(|isn| (isn, place.0)));
        place
    }

    /// Takes in the initial sequence numbers of a socket that was known without.
    fn learn_numbers(&mut self, (id, side): DirectionId, socket: Socket) {
        self.rearrange(id, |connection| {
            if let Some(end) = connection.sender_mut(side) {
                end.socket = socket;
                end.established = true;
            }
        });
        self.isns.extend(socket.isn.map(|isn| (isn, id)));
        // Its SYN was sent again, before it had numbers: until now its other end was not known to be that.
        if let Some((other, side)) = self.other_end(&socket)
            && other != id
            && self.get(id).is_some_and(|it| it.ends.len() == 1)
        {
            self.absorb((id, side), other);
        }
    }

    /// A connection whose one known end is the other end of this socket: their initial sequence
    /// numbers are each other's.
    fn other_end(&self, socket: &Socket) -> Option<DirectionId> {
        let isn = socket.isn?;
        let id = *self.isns.get(&Isn {
            iss: isn.irs,
            irs: isn.iss,
        })?;
        (self.get(id)?.ends.len() == 1).then_some((id, Side::In))
    }

    /// A connection whose one known end may be the other end of this socket, where the handshake was not
    /// seen at one end or both: addresses alone speak, and must speak for one. Ends that packets can go
    /// between come before ends that are known to have the addresses only.
    fn facing_end(&self, socket: &Socket, state: TcpState) -> Option<DirectionId> {
        // Numbers that will be known speak better.
        let numbers_come = !self.blind.contains(hook::STATES);
        if state.is_handshake() && numbers_come {
            return None;
        }
        let proposed = self.ends.of_socket(&socket.flow, None).into_iter();
        let facing = proposed.filter_map(|id| {
            let [end] = &self.get(id)?.ends[..] else {
                return None;
            };
            let unseen = end.socket.isn.is_none() || socket.isn.is_none();
            if !unseen || end.closed.is_some() || (end.opening && numbers_come) {
                return None;
            }
            let misfit = alike(&end.socket.flow, &socket.flow.reversed())?;
            let networks = self.index.networks();
            let (here, there) = (socket.flow.netns, end.socket.flow.netns);
            if networks.are_apart(here, there) {
                return None;
            }
            let beyond = !networks.are_connected(here, there);
            // Behind a NAT only the port is left to go by: too little between strangers.
            (!beyond || misfit == BY_ADDRESSES).then_some(Candidate {
                by_addresses: true,
                apart: beyond,
                misfit,
                newest: Reverse(id),
                end: Side::Out,
                side: Side::In,
            })
        });
        let found = Candidate::best(facing.collect())?;
        Some((found.id(), found.side))
    }

    /// The connection known only from packets that belong to this socket. What they went by on both
    /// sides of a NAT becomes one.
    fn adopt(&mut self, socket: &Socket) -> Option<DirectionId> {
        let proposed = self.strays.of_socket(&socket.flow, socket.numbers());
        let found = proposed.into_iter().filter_map(|id| {
            let connection = self.get(id)?;
            let (seq, ack) = connection.first_numbers?;
            let flow = connection.seen_as.first()?;
            self.candidate((id, Side::Out), socket, flow, seq, ack)
        });
        let mut found: Vec<Candidate> = found.collect();
        // Of a network that has nothing to do with it only what has no other place.
        let any_here = found.iter().any(|it| !it.apart);
        found.retain(|it| !(any_here && it.apart));
        // One that fits far worse than the best is somebody else's; addresses fit or do not.
        let best = found.iter().map(|it| it.misfit).min()?;
        let near = if best < BY_ADDRESSES { NEAR_BYTES } else { 0 };
        found.retain(|it| it.misfit <= best + near);
        let (first, others) = found.split_first()?;
        if first.side == Side::In {
            self.turn(first.id());
        }
        for other in others {
            self.absorb((first.id(), other.side), other.id());
        }
        Some((first.id(), Side::Out))
    }

    /// Makes SYNs that were lost on the way a part of the connection that sends them: it has no
    /// initial sequence numbers yet but theirs.
    pub(crate) fn adopt_syns(&mut self, place: DirectionId, seq: u32) {
        let is_lost = |it: &Connection| it.first_numbers == Some((seq, None));
        let mut lost: Vec<ConnectionId> = self.strays.numbered(seq).collect();
        lost.retain(|id| self.get(*id).is_some_and(is_lost));
        for other in lost {
            self.absorb(place, other);
        }
    }

    /// Exchanges the two directions of a connection, and of the flows that lead to it.
    fn turn(&mut self, id: ConnectionId) {
        self.rearrange(id, Connection::turn);
        let flows = self.get(id).map(|it| it.flows.clone());
        self.lead_on(id, &flows.unwrap_or_default(), (id, Side::In));
    }

    /// Makes another connection a part of this one, its direction [`Side::Out`] that of this side.
    fn absorb(&mut self, place: DirectionId, other: ConnectionId) {
        let Some(mut part) = self.remove(other) else {
            return;
        };
        self.lead_on(other, &part.flows, place);
        for end in &part.ends {
            self.sockets.insert(end.socket.flow, place);
            self.isns.extend(end.socket.isn.map(|isn| (isn, place.0)));
        }
        if place.1 == Side::In {
            part.turn();
        }
        self.rearrange(place.0, |connection| connection.absorb(part));
    }

    /// Has flows of a connection lead to where its direction [`Side::Out`] is now.
    fn lead_on(&mut self, of: ConnectionId, flows: &[Flow], (id, out): DirectionId) {
        for flow in flows {
            if let Some((known, side)) = self.flows.get_mut(flow)
                && *known == of
            {
                (*known, *side) = (id, out.seen_from(*side));
            }
        }
    }

    /// The connection a packet belongs to, and its direction there. One is made for a packet that
    /// belongs to no known socket.
    pub(crate) fn find(&mut self, flow: Flow, seq: u32, ack: Option<u32>) -> DirectionId {
        if let Some(found) = self.look_up(flow, seq, ack) {
            return found;
        }
        let id = self.insert(Connection::of_packet(flow, seq, ack));
        self.lead_both_ways(flow, (id, Side::Out))
    }

    /// The connection of a known socket that a packet belongs to, and its direction there; `None` if it
    /// is of no known one, or may be of several.
    pub(crate) fn look_up(
        &mut self,
        flow: Flow,
        seq: u32,
        ack: Option<u32>,
    ) -> Option<DirectionId> {
        if let Some(&found) = self.flows.get(&flow) {
            return Some(found);
        }
        let proposed = self.ends.of_packet(&flow, seq, ack).into_iter();
        let ends = proposed.flat_map(|id| {
            let ends = self.get(id).into_iter().flat_map(Connection::senders);
            ends.map(move |(side, end)| ((id, side), end.socket))
        });
        let found =
            ends.filter_map(|(place, socket)| self.candidate(place, &socket, &flow, seq, ack));
        let found = Candidate::best(found.collect())?;
        let seen_as = &mut self.edit(found.id())?.seen_as;
        insert_flows(seen_as, [found.side.outwards(flow)]);
        Some(self.lead_both_ways(flow, (found.id(), found.side)))
    }

    /// A connection as a candidate, where one of its sockets, which sends in direction `end`, and a packet
    /// fit together and can have met.
    fn candidate(
        &self,
        (id, end): DirectionId,
        socket: &Socket,
        flow: &Flow,
        seq: u32,
        ack: Option<u32>,
    ) -> Option<Candidate> {
        let (side, misfit) = belongs(socket, flow, seq, ack)?;
        let networks = self.index.networks();
        let by_addresses = misfit >= BY_ADDRESSES;
        let apart = networks.are_apart(flow.netns, socket.flow.netns);
        // Sequence numbers that are close prove that they have met; addresses may be the same in networks that
        // have nothing to do with each other.
        let have_met = if by_addresses {
            networks.are_connected(flow.netns, socket.flow.netns)
        } else {
            misfit <= CLOSE || !apart
        };
        have_met.then(|| Candidate {
            by_addresses,
            apart,
            misfit,
            newest: Reverse(id),
            end,
            side: end.seen_from(side),
        })
    }

    fn lead_both_ways(&mut self, flow: Flow, (id, side): DirectionId) -> DirectionId {
        self.lead(flow, (id, side));
        self.lead(flow.reversed(), (id, side.flip()));
        (id, side)
    }
}
