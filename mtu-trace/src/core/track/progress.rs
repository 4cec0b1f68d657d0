//! What senders and receivers on this host tell: segments sent again, how their sockets stand, their
//! ends.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    core::track::{
        connection::{Connection, Side},
        direction::{Heeded, Retransmits, Track, Waits},
        state::{ConnectionId, State},
    },
    model::{
        event::{Closed, Count, Flow, PathMtu, Retransmit, Sample},
        network::NetnsId,
    },
};

/// What routes were told, by namespace and destination.
pub(crate) type RoutesTold = BTreeMap<(NetnsId, IpAddr), PathMtu>;

/// Routes whose news wait for the next tick at most.
const MOST_ROUTES: usize = 64;

impl State {
    pub(crate) fn retransmit(&mut self, time_ns: u64, retransmit: &Retransmit) {
        self.sealed.resent(time_ns, retransmit);
        let handshake = retransmit.state.is_handshake();
        let (id, index) = self.socket(retransmit.socket, handshake);
        let Some(connection) = self.edit(id) else {
            return;
        };
        connection.last_ns = time_ns;
        let end = &mut connection.ends[index];
        end.established |= !handshake;
        put(&mut end.retransmit, retransmit.clone());
        let track = connection.track_mut(Connection::sends(index));
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
        sent.largest_payload = sent
            .largest_payload
            .max(retransmit.end_seq.wrapping_sub(retransmit.seq));
        sent.payload_bytes = retransmit.end_seq.wrapping_sub(retransmit.seq);
        sent.sacked = retransmit.sacked_out > 0;
        sent.bytes_acked = retransmit.bytes_acked;
        sent.timers = retransmit.timers.or(sent.timers);
        if handshake {
            sent.handshake = sent.count;
            self.adopt_syns(id, index, retransmit.seq);
            return;
        }
        for drops in track.other.values_mut() {
            drops.fallen.resend(retransmit.seq);
        }
        // First what is through, so that the new loss is not taken for one that waits behind it.
        track.through(retransmit.snd_una, time_ns);
        if let Some(sent) = &mut track.retransmits {
            sent.repeats.lost(retransmit.seq, time_ns);
        }
    }

    pub(crate) fn sample(&mut self, time_ns: u64, sample: &Sample) {
        let Some(&(id, index)) = self.sockets.get(&sample.flow) else {
            return;
        };
        let Some(connection) = self.edit(id) else {
            return;
        };
        let end = &mut connection.ends[index];
        end.established |= !sample.state.is_handshake();
        let before = put(&mut end.sample, *sample);
        let moved = before.is_some_and(|before| before.bytes_acked < sample.bytes_acked);
        let received = before.is_some_and(|before| before.bytes_received < sample.bytes_received);
        end.window_closed_ns = since(
            end.window_closed_ns,
            sample.window_closed && !moved,
            time_ns,
        );
        end.gap_ns = since(end.gap_ns, sample.held_bytes > 0 && !received, time_ns);
        let snd_una = end.snd_una(sample.bytes_acked);
        let rcv_nxt = end.rcv_nxt(sample.bytes_received);
        let sends = Connection::sends(index);
        let out = connection.track_mut(sends);
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
        progress(out, snd_una, moved, time_ns);
        progress(
            connection.track_mut(sends.flip()),
            rcv_nxt,
            received,
            time_ns,
        );
    }

    pub(crate) fn closed(&mut self, time_ns: u64, closed: &Closed) {
        let Some(&(id, index)) = self.sockets.get(&closed.flow) else {
            return;
        };
        let Some(connection) = self.edit(id) else {
            return;
        };
        connection.last_ns = time_ns;
        let end = &mut connection.ends[index];
        end.established |= !closed.last_state.is_handshake();
        put(&mut end.closed, *closed);
        let snd_una = end.snd_una(closed.bytes_acked);
        let rcv_nxt = end.rcv_nxt(closed.bytes_received);
        let sends = Connection::sends(index);
        if let Some(out) = connection.known_track_mut(sends) {
            progress(out, snd_una, false, time_ns);
            if closed.error == 0
                && closed.unacknowledged == 0
                && closed.last_state.is_orderly_close()
            {
                out.complete(time_ns);
            }
        }
        if let Some(incoming) = connection.known_track_mut(sends.flip()) {
            progress(incoming, rcv_nxt, false, time_ns);
        }
    }

    /// A socket is told for itself; a route's MTU is for all who send that way, of whom those matter
    /// that have lost something.
    pub(crate) fn path_mtu(&mut self, time_ns: u64, told: &PathMtu) {
        if told.is_socket() {
            let Some(&(id, index)) = self.sockets.get(&told.flow) else {
                return;
            };
            self.heed(id, Connection::sends(index), told, time_ns);
            return;
        }
        // At the next tick, all at once: that takes a look at every connection that has lost something.
        let has_room = self.routes_told.len() < MOST_ROUTES;
        let key = (told.flow.netns, told.flow.destination.ip());
        if has_room || self.routes_told.contains_key(&key) {
            self.routes_told.insert(key, *told);
        }
    }

    /// Takes in what routes were told since the last tick.
    pub(crate) fn heed_routes(&mut self, time_ns: u64) {
        if self.routes_told.is_empty() {
            return;
        }
        let all_told = std::mem::take(&mut self.routes_told);
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
                self.heed(id, side, &told, time_ns);
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
        all_told: &'a RoutesTold,
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

    fn heed(&mut self, id: ConnectionId, side: Side, told: &PathMtu, time_ns: u64) {
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
        let heard = Heeded {
            mtu_bytes: told.mtu_bytes,
            by_socket,
            by_route,
        };
        icmp.heeded.get_or_insert(Box::new(heard)).add(&heard);
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
                let Some(&(id, index)) = self.sockets.get(flow) else {
                    return;
                };
                let Some(connection) = self.edit(id) else {
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

/// Replaces what most connections have not.
fn put<T>(kept: &mut Option<Box<T>>, new: T) -> Option<T> {
    match kept {
        Some(kept) => Some(std::mem::replace(&mut **kept, new)),
        None => {
            *kept = Some(Box::new(new));
            None
        }
    }
}

/// Since when something has been so.
fn since(before: Option<u64>, is: bool, time_ns: u64) -> Option<u64> {
    is.then(|| before.unwrap_or(time_ns))
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
