//! Finds the connections that a packet or a socket may be of without going through all of them.
//!
//! An index proposes; [`crate::core::track::seq_match`] decides. It proposes every connection that can be
//! accepted there.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use imbl::OrdSet;
use smallvec::SmallVec;

use crate::core::track::seq_match::{WINDOW_DATA, WINDOW_REQUESTS, WINDOW_STRANGER};
use crate::core::track::state::{ConnectionId, HashMap};
use crate::model::event::Flow;

/// Connections by their addresses and by sequence numbers known of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Each number with the one of the other direction, so that few of those that are near have to be
    /// looked at.
    numbers: OrdSet<NumberEntry>,
    /// By hashes of what flows may have in common: a tenth of the memory of the addresses themselves,
    /// and whoever has the same hash by chance is proposed in vain. Most often it is one alone.
    addresses: HashMap<u64, SmallVec<[ConnectionId; 2]>>,
    hash: RandomState,
}

/// A sequence number of a connection and, if it is known, that of the other direction.
pub(crate) type SeqPair = (u32, Option<u32>);

/// A sequence number, whose it is, and that of the other direction.
type NumberEntry = (u32, ConnectionId, Option<u32>);

/// The same numbers as each direction sees them.
fn each_way(numbers: Option<SeqPair>) -> impl Iterator<Item = SeqPair> {
    let other = numbers.and_then(|(one, other)| Some((other?, Some(one))));
    numbers.into_iter().chain(other)
}

impl Index {
    /// Makes a connection known by a flow and by sequence numbers.
    pub fn insert(&mut self, id: ConnectionId, flow: &Flow, numbers: Option<SeqPair>) {
        let entries = each_way(numbers).map(|(number, other)| (number, id, other));
        self.numbers.extend(entries);
        for hash in self.hashes(flow) {
            let known = self.addresses.entry(hash).or_default();
            if !known.contains(&id) {
                known.push(id);
            }
        }
    }

    /// Forgets it under that flow and those numbers.
    pub fn remove(&mut self, id: ConnectionId, flow: &Flow, numbers: Option<SeqPair>) {
        for (number, other) in each_way(numbers) {
            self.numbers.remove(&(number, id, other));
        }
        for hash in self.hashes(flow) {
            let Some(known) = self.addresses.get_mut(&hash) else {
                continue;
            };
            known.retain(|known| *known != id);
            if known.is_empty() {
                self.addresses.remove(&hash);
            }
        }
    }

    /// Hashes of each end of a flow with the port of the other, which is what a NAT leaves: flows between the
    /// same ends have both, in either direction.
    fn hashes(&self, flow: &Flow) -> [u64; 2] {
        let (source, destination) = (flow.source, flow.destination);
        [(source, destination.port()), (destination, source.port())]
            .map(|(end, port)| self.hash.hash_one((flow.protocol, FlowEnd(end), port)))
    }

    /// Those whose addresses may fit a flow, in either direction.
    fn with_addresses(&self, flow: &Flow) -> BTreeSet<ConnectionId> {
        let hashes = self.hashes(flow).into_iter();
        let known = hashes.filter_map(|hash| self.addresses.get(&hash));
        known.flatten().copied().collect()
    }

    /// Those, known by initial sequence numbers, which a packet may be of.
    pub fn of_packet(&self, flow: &Flow, seq: u32, ack: Option<u32>) -> BTreeSet<ConnectionId> {
        let mut found = self.with_addresses(flow);
        let Some(ack) = ack else {
            found.extend(self.numbered(seq));
            return found;
        };
        for (here, there, window) in [(seq, ack, WINDOW_STRANGER), (ack, seq, WINDOW_REQUESTS)] {
            let near = self.between(here.wrapping_sub(window), here);
            found.extend(near.filter_map(|&(number, id, other)| {
                let there = other.map(|other| there.wrapping_sub(other));
                may_fit(here.wrapping_sub(number), there).then_some(id)
            }));
        }
        found
    }

    /// Those whose addresses may fit a flow in either direction, or which, known by the numbers of one packet,
    /// a socket with these initial numbers may have.
    pub fn of_socket(&self, flow: &Flow, isn: Option<SeqPair>) -> BTreeSet<ConnectionId> {
        let mut found = self.with_addresses(flow);
        for (here, there) in each_way(isn) {
            let near = self.between(here, here.wrapping_add(WINDOW_STRANGER));
            found.extend(near.filter_map(|&(number, id, other)| {
                let there = other
                    .zip(there)
                    .map(|(other, there)| other.wrapping_sub(there));
                may_fit(number.wrapping_sub(here), there).then_some(id)
            }));
        }
        found
    }

    /// Those with exactly this number.
    pub fn numbered(&self, number: u32) -> impl Iterator<Item = ConnectionId> {
        self.between(number, number).map(|(_, id, _)| *id)
    }

    /// Those with a number from one to another, which may have wrapped in between.
    fn between(&self, from: u32, to: u32) -> impl Iterator<Item = &NumberEntry> {
        let wraps = from > to;
        let first = (from, if wraps { u32::MAX } else { to });
        let ranges = std::iter::once(first).chain(wraps.then_some((0, to)));
        ranges.flat_map(|(from, to)| {
            let first = (from, ConnectionId::FIRST, None);
            let last = (to, ConnectionId::LAST, Some(u32::MAX));
            self.numbers.range(first..=last)
        })
    }
}

/// Whether a packet may be of a socket, so far above its initial number in one direction and, if that
/// is known, in the other. Whatever [`crate::core::track::seq_match::belongs`] takes for its numbers may.
fn may_fit(here: u32, there: Option<u32>) -> bool {
    let near =
        |there| there <= WINDOW_STRANGER || (here <= WINDOW_REQUESTS && there <= WINDOW_DATA);
    there.is_none_or(near)
}

/// One end of a flow, hashed as few and wide numbers: what the standard library makes of an address is many
/// small ones, and most events are found by a flow.
struct FlowEnd(SocketAddr);

impl Hash for FlowEnd {
    #[inline]
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self.0 {
            SocketAddr::V4(end) => {
                to.write_u64(u64::from(u32::from(*end.ip())) << 16 | u64::from(end.port()));
            }
            SocketAddr::V6(end) => {
                to.write_u128(u128::from(*end.ip()));
                to.write_u16(end.port());
            }
        }
    }
}

impl Hash for Flow {
    #[inline]
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u64(self.netns.0);
        FlowEnd(self.source).hash(to);
        FlowEnd(self.destination).hash(to);
        to.write_u8(self.protocol);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::core::track::seq_match::belongs;
    use crate::model::event::{Isn, Socket, TCP};
    use crate::model::network::NetnsId;

    /// Few addresses, so that some agree.
    fn flows() -> impl Strategy<Value = Flow> {
        let end = || {
            (0u8..3, 1u16..3).prop_map(|(host, port)| SocketAddr::from(([10, 0, 0, host], port)))
        };
        (0u64..2, end(), end()).prop_map(|(netns, source, destination)| Flow {
            netns: NetnsId(netns),
            protocol: TCP,
            source,
            destination,
        })
    }

    /// Distances about where something ends.
    fn distances() -> impl Strategy<Value = u32> {
        let ends = [
            0,
            1,
            WINDOW_REQUESTS,
            WINDOW_STRANGER,
            WINDOW_DATA,
            1 << 31,
            u32::MAX,
        ];
        (prop::sample::select(ends.to_vec()), 0u32..4)
            .prop_map(|(end, more)| end.wrapping_add(more).wrapping_sub(2))
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_can_be_accepted_is_proposed(
            (of_socket, of_packet) in (flows(), flows()),
            isn in prop::option::weighted(0.9, (any::<u32>(), any::<u32>())),
            (sent, acknowledged) in (distances(), distances()),
            (is_turned, has_ack) in (any::<bool>(), prop::bool::weighted(0.9)),
        ) {
            let (iss, irs) = isn.unwrap_or((7, 9));
            let (one, other) = if is_turned { (irs, iss) } else { (iss, irs) };
            let seq = one.wrapping_add(sent);
            let ack = has_ack.then(|| other.wrapping_add(acknowledged));
            let socket = Socket {
                flow: of_socket,
                opened_ns: 0,
                isn: isn.map(|(iss, irs)| Isn { iss, irs }),
                active: None,
            };
            let is_accepted = belongs(&socket, &of_packet, seq, ack).is_some();
            let id = ConnectionId::FIRST;

            let mut ends = Index::default();
            ends.insert(id, &socket.flow, socket.numbers());
            let proposed = ends.of_packet(&of_packet, seq, ack);
            prop_assert!(proposed.contains(&id) || !is_accepted);

            let mut strays = Index::default();
            strays.insert(id, &of_packet, Some((seq, ack)));
            let proposed = strays.of_socket(&socket.flow, socket.numbers());
            prop_assert!(proposed.contains(&id) || !is_accepted);
        }
    }
}
