//! What senders and receivers on this host tell: segments sent again, how their sockets stand, their
//! ends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::core::track::connection::{Connection, Side};
use crate::core::track::direction::{PmtuAccepted, Retransmits, Waits, raise};
use crate::core::track::state::{DirectionId, State};
use crate::core::track::way_out::{self, Lack};
use crate::model::event::{Closed, Count, Flow, PathMtu, Retransmit, Sample, SendError};
use crate::model::network::NetnsId;

/// The path MTUs that routes were told, by namespace and destination.
pub(crate) type RoutePmtus = BTreeMap<(NetnsId, IpAddr), PathMtu>;

/// Routes whose path MTUs wait for the next tick at most. A choice: a second's worth on a busy host; each
/// is looked for in every connection that has lost something.
const MOST_ROUTES: usize = 64;

impl State {
    pub(crate) fn retransmit(&mut self, time_ns: u64, retransmit: &Retransmit) {
        if retransmit.error.is_none() {
            self.wireguard.resent(time_ns, retransmit);
        }
        let lack = retransmit
            .error
            .and_then(|_| self.lack(&retransmit.socket.flow));
        let (id, side) = self.socket(retransmit.socket, retransmit.state);
        let Some(connection) = self.edit(id) else {
            return;
        };
        connection.last_ns = time_ns;
        let in_handshake = retransmit.state.is_handshake();
        if let Some(end) = connection.sender_mut(side) {
            end.established |= !in_handshake;
            end.retransmit = Some(Box::new(retransmit.clone()));
        }
        let track = connection.track_mut(side);
        track.sender_mss = Some(retransmit.mss_cache);
        track.sender_pmtu_bytes = Some(retransmit.pmtu_bytes);
        // First what is through, so that the new loss is not taken for one that waits behind it.
        if !in_handshake {
            track.through(retransmit.snd_una, time_ns);
        }
        let sent = track.retransmits.get_or_insert_with(|| {
            Box::new(Retransmits {
                first_ns: time_ns,
                first_backoff: retransmit.backoff,
                first_mss: retransmit.mss_cache,
                ..Retransmits::default()
            })
        });
        raise(&mut sent.count, retransmit.count);
        raise(&mut sent.unsent, retransmit.unsent);
        if retransmit.error.is_some_and(SendError::is_put_off) {
            return;
        }
        sent.error = retransmit.error.or(sent.error);
        raise(&mut sent.last_ns, time_ns);
        raise(&mut sent.max_backoff, retransmit.backoff);
        sent.bytes_acked = retransmit.bytes_acked;
        sent.timers = retransmit.timers.or(sent.timers);
        if in_handshake {
            sent.handshake = sent.tried();
        } else {
            sent.repeats.lost(retransmit.seq, time_ns);
        }
        match retransmit.error {
            Some(error) if error.is_nowhere() => {
                track.hold_up(time_ns, Some(error), lack).attempts += 1;
            }
            Some(_) => {}
            None => track.let_go(time_ns),
        }
        if in_handshake {
            self.adopt_syns((id, side), retransmit.seq);
            return;
        }
        for drops in track.other.values_mut() {
            drops.retransmitted.resend(retransmit.seq);
        }
    }

    pub(crate) fn sample(&mut self, time_ns: u64, sample: &Sample) {
        let held_up = sample.is_held_up.then_some(sample.flow);
        let lack = held_up.and_then(|sent| self.lack(&sent));
        let Some((connection, side)) = self.edit_socket(&sample.flow) else {
            return;
        };
        let Some(end) = connection.sender_mut(side) else {
            return;
        };
        end.established |= !sample.state.is_handshake();
        let opened_ns = end.socket.opened_ns;
        let before = end.sample.replace(Box::new(*sample));
        let grew = |bytes: fn(&Sample) -> u64| {
            before
                .as_deref()
                .is_some_and(|before| bytes(before) < bytes(sample))
        };
        let moved = grew(|sample| sample.bytes_acked);
        let received = grew(|sample| sample.bytes_received);
        let no_room = sample.window_closed && !moved;
        end.window_closed_ns = no_room.then(|| end.window_closed_ns.unwrap_or(time_ns));
        let has_gap = sample.held_bytes > 0 && !received;
        end.gap_ns = has_gap.then(|| end.gap_ns.unwrap_or(time_ns));
        let upto = end.snd_una_rcv_nxt(sample.bytes_acked, sample.bytes_received);
        let (snd_una, rcv_nxt) = upto.unzip();
        let out = connection.track_mut(side);
        out.duplicates.tell(sample.duplicates, opened_ns);
        if moved {
            out.let_go(time_ns);
        } else {
            out.see_held_up(time_ns, sample, lack);
        }
        if !out.is_held_up() {
            // A route whose device is gone has the smallest MTU there is (`blackhole_netdev`).
            out.sender_mss = Some(sample.mss);
            out.sender_pmtu_bytes = Some(sample.pmtu_bytes);
        }
        let times_out = sample.unacked > 0 && sample.backoff > 0 && !moved;
        let first = (
            out.waiting_since(time_ns, sample).max(opened_ns),
            sample.backoff,
        );
        let first = out
            .waits
            .map_or(first, |waits| (waits.first_ns, waits.first_backoff));
        out.waits = times_out.then_some(Waits {
            first_ns: first.0,
            last_ns: time_ns,
            backoff: sample.backoff,
            first_backoff: first.1,
        });
        if let Some(sent) = &mut out.retransmits {
            raise(&mut sent.bytes_acked, sample.bytes_acked);
        }
        for (side, upto, has_moved) in [(side, snd_una, moved), (side.flip(), rcv_nxt, received)] {
            let track = connection.track_mut(side);
            match upto {
                Some(seq) => track.through(seq, time_ns),
                // All that was lost is taken to be through.
                None if has_moved => track.complete(time_ns),
                None => {}
            }
        }
    }

    /// What the way out of a socket lacks; `None` if nothing.
    fn lack(&self, sent: &Flow) -> Option<Lack> {
        way_out::lack(&self.topology, &self.departures, sent)
    }

    /// The connection of a socket, to be changed, and the direction in which the socket sends.
    fn edit_socket(&mut self, flow: &Flow) -> Option<(&mut Connection, Side)> {
        let &(id, side) = self.sockets.get(flow)?;
        Some((self.edit(id)?, side))
    }

    pub(crate) fn closed(&mut self, time_ns: u64, closed: &Closed) {
        let Some((connection, side)) = self.edit_socket(&closed.flow) else {
            return;
        };
        connection.last_ns = time_ns;
        let Some(end) = connection.sender_mut(side) else {
            return;
        };
        end.established |= !closed.last_state.is_handshake();
        end.closed = Some(Box::new(*closed));
        let upto = end.snd_una_rcv_nxt(closed.bytes_acked, closed.bytes_received);
        if let Some((snd_una, rcv_nxt)) = upto {
            for (side, seq) in [(side, snd_una), (side.flip(), rcv_nxt)] {
                if let Some(track) = connection.known_track_mut(side) {
                    track.through(seq, time_ns);
                }
            }
        }
        let is_orderly =
            closed.error == 0 && closed.unacknowledged == 0 && closed.last_state.is_orderly_close();
        if let Some(out) = connection.known_track_mut(side).filter(|_| is_orderly) {
            out.complete(time_ns);
        }
    }

    /// A socket is told for itself; a route's MTU is for all who send that way, of whom those matter
    /// that have lost something.
    pub(crate) fn path_mtu(&mut self, time_ns: u64, told: &PathMtu) {
        if told.is_socket() {
            if let Some(&place) = self.sockets.get(&told.flow) {
                self.accept_pmtu(place, told, time_ns);
            }
            return;
        }
        // At the next tick, all at once: that takes a look at every connection that has lost something.
        let has_room = self.route_pmtus.len() < MOST_ROUTES;
        let key = (told.flow.netns, told.flow.destination.ip());
        if has_room || self.route_pmtus.contains_key(&key) {
            self.route_pmtus.insert(key, *told);
        }
    }

    /// Takes in what routes were told since the last tick.
    pub(crate) fn accept_route_pmtus(&mut self, time_ns: u64) {
        if self.route_pmtus.is_empty() {
            return;
        }
        let all_told = std::mem::take(&mut self.route_pmtus);
        for id in self.ailing() {
            let Some(connection) = self.get(id) else {
                continue;
            };
            // Not by the flow of a tunnel that it goes through: what that is told, its ends are not.
            let mut flows = connection
                .seen_as
                .iter()
                .flat_map(|flow| Side::BOTH.map(|side| (side, side.outwards(*flow))));
            let found = flows.find_map(|(side, flow)| {
                let told = self.senders_route(connection, side, &flow, &all_told)?;
                Some((side, told))
            });
            if let Some((side, told)) = found {
                self.accept_pmtu((id, side), told, time_ns);
            }
        }
    }

    /// What the sender's route of a flow was told. A router that keeps an MTU for its own packets has
    /// told nobody.
    fn senders_route<'a>(
        &self,
        connection: &Connection,
        side: Side,
        flow: &Flow,
        all_told: &'a RoutePmtus,
    ) -> Option<&'a PathMtu> {
        let is_senders = |netns: NetnsId| match connection.sender(side) {
            Some(end) => netns == end.socket.flow.netns,
            None => {
                self.topology.owner(netns, flow.source.ip()).is_some()
                    && self.index.networks().are_connected(netns, flow.netns)
            }
        };
        let there = flow.destination.ip();
        let mut told = all_told.iter();
        let found = told.find(|((netns, to), _)| *to == there && is_senders(*netns))?;
        Some(found.1)
    }

    fn accept_pmtu(&mut self, (id, side): DirectionId, told: &PathMtu, time_ns: u64) {
        let Some(connection) = self.edit(id) else {
            return;
        };
        connection.last_ns = time_ns;
        let icmp = &mut connection.track_mut(side).icmp;
        icmp.mtu_bytes = Some(told.mtu_bytes);
        let (by_socket, by_route) = if told.is_socket() {
            (told.count, 0)
        } else {
            (0, told.count)
        };
        let accepted = PmtuAccepted {
            mtu_bytes: told.mtu_bytes,
            by_socket,
            by_route,
        };
        icmp.pmtu_accepted
            .get_or_insert(Box::new(accepted))
            .add(&accepted);
    }

    pub(crate) fn count(&mut self, count: &Count) {
        match count {
            Count::Dropped {
                flow,
                function,
                count,
                last_ns,
            } => {
                if let Some(&(id, side)) = self.flows.get(flow)
                    && let Some(connection) = self.edit(id)
                {
                    for (key, drops) in &mut connection.track_mut(side).oversized {
                        if key.function == *function && key.netns == flow.netns {
                            drops.raise(*count, *last_ns);
                        }
                    }
                }
            }
            Count::Retransmitted {
                flow,
                count,
                last_ns,
            } => {
                if let Some((connection, side)) = self.edit_socket(flow)
                    && let Some(sent) = &mut connection.track_mut(side).retransmits
                {
                    raise(&mut sent.count, *count);
                    raise(&mut sent.last_ns, *last_ns);
                }
            }
        }
    }
}
