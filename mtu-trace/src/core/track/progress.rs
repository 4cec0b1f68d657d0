//! What senders and receivers on this host tell: segments sent again, how their sockets stand, their
//! ends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::core::track::connection::{Connection, Handshake};
use crate::core::track::direction::{PmtuAccepted, Retransmits, Waits};
use crate::core::track::side::Side;
use crate::core::track::state::{ConnectionId, State};
use crate::model::event::{Closed, Count, Flow, PathMtu, Retransmit, Sample};
use crate::model::network::NetnsId;

/// The path MTUs that routes were told, by namespace and destination.
pub(crate) type RoutePmtus = BTreeMap<(NetnsId, IpAddr), PathMtu>;

/// Routes whose path MTUs wait for the next tick at most. A choice: a second's worth on a busy host; each
/// is looked for in every connection that has lost something.
const MOST_ROUTES: usize = 64;

impl State {
    pub(crate) fn retransmit(&mut self, time_ns: u64, retransmit: &Retransmit) {
        self.wireguard.resent(time_ns, retransmit);
        let handshake = Handshake::of(retransmit.state);
        let (id, side) = self.socket(retransmit.socket, handshake);
        let Some(connection) = self.edit(id) else {
            return;
        };
        connection.last_ns = time_ns;
        if let Some(end) = connection.ends.get_mut(side) {
            end.established |= handshake == Handshake::Done;
            put(&mut end.retransmit, retransmit.clone());
        }
        let track = connection.track_mut(side);
        track.sender_mss = Some(retransmit.mss_cache);
        track.sender_pmtu_bytes = Some(retransmit.pmtu_bytes);
        let sent = track.retransmits.get_or_insert_with(|| {
            Box::new(Retransmits {
                first_ns: time_ns,
                first_mss: retransmit.mss_cache,
                ..Retransmits::default()
            })
        });
        sent.count = sent.count.max(retransmit.count);
        sent.last_ns = sent.last_ns.max(time_ns);
        sent.max_backoff = sent.max_backoff.max(retransmit.backoff);
        sent.payload_bytes = retransmit.end_seq.wrapping_sub(retransmit.seq);
        sent.largest_payload = sent.largest_payload.max(sent.payload_bytes);
        sent.sacked = retransmit.sacked_out > 0;
        sent.bytes_acked = retransmit.bytes_acked;
        sent.timers = retransmit.timers.or(sent.timers);
        if handshake == Handshake::Pending {
            sent.handshake = sent.count;
            self.adopt_syns((id, side), retransmit.seq);
            return;
        }
        for drops in track.other.values_mut() {
            drops.retransmitted.resend(retransmit.seq);
        }
        // First what is through, so that the new loss is not taken for one that waits behind it.
        track.through(retransmit.snd_una, time_ns);
        if let Some(sent) = &mut track.retransmits {
            sent.repeats.lost(retransmit.seq, time_ns);
        }
    }

    pub(crate) fn sample(&mut self, time_ns: u64, sample: &Sample) {
        let Some((connection, side)) = self.edit_socket(&sample.flow) else {
            return;
        };
        let Some(end) = connection.ends.get_mut(side) else {
            return;
        };
        end.established |= !sample.state.is_handshake();
        let before = put(&mut end.sample, *sample);
        let moved = before.is_some_and(|before| before.bytes_acked < sample.bytes_acked);
        let received = before.is_some_and(|before| before.bytes_received < sample.bytes_received);
        let no_room = sample.window_closed && !moved;
        end.window_closed_ns = no_room.then(|| end.window_closed_ns.unwrap_or(time_ns));
        let has_gap = sample.held_bytes > 0 && !received;
        end.gap_ns = has_gap.then(|| end.gap_ns.unwrap_or(time_ns));
        let snd_una = end.snd_una(sample.bytes_acked);
        let rcv_nxt = end.rcv_nxt(sample.bytes_received);
        let out = connection.track_mut(side);
        out.sender_mss = Some(sample.mss);
        out.sender_pmtu_bytes = Some(sample.pmtu_bytes);
        let times_out = sample.unacked > 0 && sample.backoff > 0 && !moved;
        out.waits = times_out.then(|| Waits {
            first_ns: out.waits.map_or(time_ns, |waits| waits.first_ns),
            last_ns: time_ns,
            backoff: sample.backoff,
            first_backoff: out
                .waits
                .map_or(sample.backoff, |waits| waits.first_backoff),
        });
        if let Some(sent) = &mut out.retransmits {
            sent.bytes_acked = sent.bytes_acked.max(sample.bytes_acked);
        }
        let both = [(side, snd_una, moved), (side.flip(), rcv_nxt, received)];
        for (side, upto, has_moved) in both {
            let track = connection.track_mut(side);
            if has_moved {
                track.moved(upto, time_ns);
            } else if let Some(seq) = upto {
                track.through(seq, time_ns);
            }
        }
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
        let Some(end) = connection.ends.get_mut(side) else {
            return;
        };
        end.established |= !closed.last_state.is_handshake();
        put(&mut end.closed, *closed);
        let snd_una = end.snd_una(closed.bytes_acked);
        let rcv_nxt = end.rcv_nxt(closed.bytes_received);
        for (side, upto) in [(side, snd_una), (side.flip(), rcv_nxt)] {
            if let (Some(track), Some(seq)) = (connection.known_track_mut(side), upto) {
                track.through(seq, time_ns);
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
            if let Some(&(id, side)) = self.sockets.get(&told.flow) {
                self.accept_pmtu(id, side, told, time_ns);
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
            let seen = connection.seen_as.iter();
            let found = seen
                .flat_map(|flow| [(*flow, Side::Out), (flow.reversed(), Side::In)])
                .find_map(|(flow, side)| {
                    let told = self.senders_route(connection, side, &flow, &all_told)?;
                    Some((side, *told))
                });
            if let Some((side, told)) = found {
                self.accept_pmtu(id, side, &told, time_ns);
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
        let there = flow.destination.ip();
        if let Some(end) = connection.sender(side) {
            return all_told.get(&(end.socket.flow.netns, there));
        }
        let mut told = all_told.iter();
        let is_senders = |(key, _): &(&(NetnsId, IpAddr), &PathMtu)| {
            let netns = key.0;
            key.1 == there
                && self.topology.owner(netns, flow.source.ip()).is_some()
                && self.is_connected(netns, flow.netns)
        };
        told.find(is_senders).map(|(_, told)| told)
    }

    fn accept_pmtu(&mut self, id: ConnectionId, side: Side, told: &PathMtu, time_ns: u64) {
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
        let known = icmp.pmtu_accepted.get_or_insert(Box::new(accepted));
        known.add(&accepted);
    }

    pub(crate) fn count(&mut self, count: &Count) {
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
                let Some(connection) = self.edit(id) else {
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
                let Some((connection, side)) = self.edit_socket(flow) else {
                    return;
                };
                if let Some(sent) = &mut connection.track_mut(side).retransmits {
                    sent.count = sent.count.max(*count);
                    sent.last_ns = sent.last_ns.max(*last_ns);
                }
            }
        }
    }
}

/// Replaces a value that most connections do not have, and gives the one before.
fn put<T>(kept: &mut Option<Box<T>>, new: T) -> Option<T> {
    match kept {
        Some(kept) => Some(std::mem::replace(&mut **kept, new)),
        None => {
            *kept = Some(Box::new(new));
            None
        }
    }
}
