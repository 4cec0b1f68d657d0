//! Sockets and packets find their connection, and the ends of one connection find each other.

use crate::{
    core::track::{
        connection::{Connection, End, Side},
        seq_match::{BY_ADDRESSES, CLOSE, belongs, faces},
        state::{ConnectionId, State},
    },
    model::{
        event::{Flow, Isn, Socket, hook},
        network::NetnsId,
    },
};

/// How much worse the same connection may fit on the other side of a NAT: the data between its first
/// losses there and here.
const NEAR: u64 = 1 << 20;

impl State {
    /// Whether a packet seen in one namespace can be of a socket in another. Sequence numbers that are
    /// close prove it; addresses may be the same in networks that have nothing to do with each other.
    fn may_meet(&self, misfit: u64, packet: NetnsId, socket: NetnsId) -> bool {
        if misfit < BY_ADDRESSES {
            misfit <= CLOSE || !self.is_apart(packet, socket)
        } else {
            self.is_connected(packet, socket)
        }
    }

    /// The connection of a socket, made if it is new. One that is `opening` has no numbers yet, but will.
    pub(crate) fn socket(&mut self, socket: Socket, opening: bool) -> (ConnectionId, usize) {
        if let Some(&(id, index)) = self.sockets.get(&socket.flow)
            && let Some(known) = self.get(id).map(|it| it.ends[index].socket)
        {
            if known.isn.is_none() && socket.isn.is_some() {
                self.rearrange(id, |connection| {
                    let end = &mut connection.ends[index];
                    end.socket = socket;
                    end.established = true;
                });
                self.isns.extend(socket.isn.map(|isn| (isn, id)));
                self.unite(id, &socket);
                return (id, index);
            }
            if socket.isn.is_none() || known.isn == socket.isn {
                if known.active.is_none()
                    && socket.active.is_some()
                    && let Some(connection) = self.edit(id)
                {
                    connection.ends[index].socket.active = socket.active;
                }
                return (id, index);
            }
            // The addresses are used again by a new connection: forget what pointed to the old.
            let flows = self.edit(id).map(|it| std::mem::take(&mut it.flows));
            self.forget_flows(id, &flows.unwrap_or_default());
        }
        let known = self
            .other_end(&socket)
            .or_else(|| self.facing_end(&socket, opening))
            .or_else(|| self.adopt(&socket));
        let end = End {
            opening,
            ..End::new(socket)
        };
        let place = match known {
            Some(place) => {
                self.add_end(place, end);
                place
            }
            None => {
                let mut connection = Connection::new(vec![end]);
                connection.seen_as.insert(socket.flow);
                (self.insert(connection), 0)
            }
        };
        self.sockets.insert(socket.flow, place);
        self.isns.extend(socket.isn.map(|isn| (isn, place.0)));
        place
    }

    /// A connection whose one known end is the other end of this socket: their initial sequence
    /// numbers are each other's.
    pub(crate) fn other_end(&self, socket: &Socket) -> Option<(ConnectionId, usize)> {
        let isn = socket.isn?;
        let id = *self.isns.get(&Isn {
            iss: isn.irs,
            irs: isn.iss,
        })?;
        (self.get(id)?.ends.len() == 1).then_some((id, 1))
    }

    /// The same for a connection whose handshake was not seen at one end or both: addresses alone
    /// speak, and must speak for one. Ends that packets can go between come before ends that are
    /// known to have the addresses only.
    fn facing_end(&self, socket: &Socket, opening: bool) -> Option<(ConnectionId, usize)> {
        // Numbers that will be known speak better.
        let numbers_come = !self.is_blind(hook::STATES);
        if opening && numbers_come {
            return None;
        }
        let mut facing: Vec<(bool, u64, ConnectionId)> = self
            .ends
            .alike(&socket.flow)
            .into_iter()
            .filter_map(|id| {
                let [end] = self.get(id)?.ends.as_slice() else {
                    return None;
                };
                let unseen = end.socket.isn.is_none() || socket.isn.is_none();
                if !unseen || end.closed.is_some() || (end.opening && numbers_come) {
                    return None;
                }
                let misfit = faces(&end.socket, socket)?;
                let (here, there) = (socket.flow.netns, end.socket.flow.netns);
                if self.is_apart(here, there) {
                    return None;
                }
                let beyond = !self.is_connected(here, there);
                // Behind a NAT only the port is left to go by: too little between strangers.
                (!beyond || misfit == BY_ADDRESSES).then_some((beyond, misfit, id))
            })
            .collect();
        facing.sort_unstable();
        let &(beyond, misfit, id) = facing.first()?;
        let is_twin = |twin: &(bool, u64, ConnectionId)| (twin.0, twin.1) == (beyond, misfit);
        (!facing.get(1).is_some_and(is_twin)).then_some((id, 1))
    }

    /// Makes the other end's connection a part of this one, whose only end was not known to be that
    /// one's until now: its SYN was sent again, before it had initial sequence numbers.
    pub(crate) fn unite(&mut self, id: ConnectionId, socket: &Socket) {
        let Some((other, _)) = self.other_end(socket).filter(|(other, _)| *other != id) else {
            return;
        };
        if self.get(id).is_none_or(|it| it.ends.len() != 1) {
            return;
        }
        self.turn(other);
        let Some(end) = self.rearrange(other, |it| it.ends.pop()).flatten() else {
            return;
        };
        self.sockets.insert(end.socket.flow, (id, 1));
        self.isns.extend(end.socket.isn.map(|isn| (isn, id)));
        self.rearrange(id, |connection| connection.ends.push(end));
        self.absorb(id, other);
    }

    /// The connection known only from packets that belong to this socket. What they went by on both
    /// sides of a NAT becomes one.
    pub(crate) fn adopt(&mut self, socket: &Socket) -> Option<(ConnectionId, usize)> {
        let found: Vec<(bool, u64, ConnectionId, Side)> = self
            .strays
            .of_socket(&socket.flow, socket.numbers())
            .into_iter()
            .filter_map(|id| {
                let connection = self.get(id)?;
                let (seq, ack) = connection.first_numbers?;
                let flow = connection.seen_as.first()?;
                let (side, misfit) = belongs(socket, flow, seq, ack)?;
                let (there, here) = (flow.netns, socket.flow.netns);
                self.may_meet(misfit, there, here)
                    .then(|| (self.is_apart(there, here), misfit, id, side))
            })
            .collect();
        // Of a network that has nothing to do with it only what has no other place.
        let any_here = found.iter().any(|(apart, ..)| !apart);
        let mut found: Vec<(u64, ConnectionId, Side)> = found
            .into_iter()
            .filter(|(apart, ..)| !(any_here && *apart))
            .map(|(_, misfit, id, side)| (misfit, id, side))
            .collect();
        // One that fits far worse than the best is somebody else's; addresses fit or do not.
        let best = found.iter().map(|(misfit, ..)| *misfit).min()?;
        let worst = if best < BY_ADDRESSES {
            best.saturating_add(NEAR)
        } else {
            best
        };
        found.retain(|(misfit, ..)| *misfit <= worst);
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
    pub(crate) fn adopt_syns(&mut self, id: ConnectionId, index: usize, seq: u32) {
        let lost: Vec<ConnectionId> = self
            .strays
            .numbered(seq)
            .filter(|lost| {
                self.get(*lost)
                    .is_some_and(|it| it.first_numbers == Some((seq, None)))
            })
            .collect();
        for other in lost {
            if Connection::sends(index) == Side::In {
                self.turn(other);
            }
            self.absorb(id, other);
        }
    }

    /// Exchanges the two directions of a connection.
    pub(crate) fn turn(&mut self, id: ConnectionId) {
        let turned = self.rearrange(id, |connection| {
            std::mem::swap(&mut connection.out, &mut connection.incoming);
            connection.seen_as = connection
                .seen_as
                .iter()
                .map(|flow| flow.reversed())
                .collect();
            connection.flows.clone()
        });
        for flow in turned.unwrap_or_default() {
            if let Some((known, side)) = self.flows.get_mut(&flow)
                && *known == id
            {
                *side = side.flip();
            }
        }
    }

    /// Makes another connection a part of this one.
    pub(crate) fn absorb(&mut self, id: ConnectionId, other: ConnectionId) {
        let Some(part) = self.remove(other) else {
            return;
        };
        for flow in part.flows.iter() {
            if let Some((known, _)) = self.flows.get_mut(flow)
                && *known == other
            {
                *known = id;
            }
        }
        self.rearrange(id, |connection| {
            connection.seen_as.extend(part.seen_as);
            connection.flows.extend(part.flows);
            if let Some(out) = part.out.into_known() {
                connection.out.make().merge(out);
            }
            if let Some(incoming) = part.incoming.into_known() {
                connection.incoming.make().merge(incoming);
            }
            connection.last_ns = connection.last_ns.max(part.last_ns);
        });
    }

    /// The connection a packet belongs to, and its direction there. One is made for a packet that
    /// belongs to no known socket.
    pub(crate) fn find(&mut self, flow: Flow, seq: u32, ack: Option<u32>) -> (ConnectionId, Side) {
        if let Some(found) = self.look_up(flow, seq, ack) {
            return found;
        }
        let mut connection = Connection::new(Vec::new());
        connection.seen_as.insert(flow);
        connection.first_numbers = Some((seq, ack));
        let id = self.insert(connection);
        self.lead(flow, id, Side::Out);
        self.lead(flow.reversed(), id, Side::In);
        (id, Side::Out)
    }

    pub(crate) fn look_up(
        &mut self,
        flow: Flow,
        seq: u32,
        ack: Option<u32>,
    ) -> Option<(ConnectionId, Side)> {
        if let Some(&found) = self.flows.get(&flow) {
            return Some(found);
        }
        let mut found: Vec<(bool, u64, ConnectionId, Side)> = self
            .ends
            .of_packet(&flow, seq, ack)
            .into_iter()
            .flat_map(|id| {
                let ends = self.get(id).into_iter().flat_map(|it| it.ends.iter());
                ends.enumerate().map(move |(index, end)| (id, index, end))
            })
            .filter_map(|(id, index, end)| {
                let (side, misfit) = belongs(&end.socket, &flow, seq, ack)?;
                if !self.may_meet(misfit, flow.netns, end.socket.flow.netns) {
                    return None;
                }
                let side = if index == 0 { side } else { side.flip() };
                let apart = self.is_apart(flow.netns, end.socket.flow.netns);
                Some((apart, misfit, id, side))
            })
            .collect();
        // Numbers before addresses, then what is connected.
        found.sort_by_key(|(apart, misfit, id, _)| {
            let by_address = *misfit >= BY_ADDRESSES;
            (by_address, *apart, *misfit, std::cmp::Reverse(*id))
        });
        let &(_, misfit, id, side) = found.first()?;
        // Where addresses alone speak, they must speak for one.
        let twin = found.get(1);
        if misfit >= BY_ADDRESSES && twin.is_some_and(|twin| twin.1 == misfit && twin.2 != id) {
            return None;
        }
        let (outwards, side_of) = match side {
            Side::Out => (flow, Side::Out),
            Side::In => (flow.reversed(), Side::In),
        };
        self.edit(id)?.seen_as.insert(outwards);
        self.lead(flow, id, side_of);
        self.lead(flow.reversed(), id, side_of.flip());
        Some((id, side))
    }
}
