//! What a selection looks at: the tuples and the namespaces of a connection or of an event.

use std::collections::BTreeSet;

use crate::core::track::{Connection, Side, State, Track};
use crate::model::event::{Event, EventKind, Flow, Packet};
use crate::model::network::NetnsId;

/// A connection or an event, as far as it can be selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its tuples wherever it was seen, in the direction of the data it is about.
    pub(crate) tuples: Vec<Flow>,
    /// Where it has ends, was seen, or lost something.
    pub(crate) places: BTreeSet<NetnsId>,
    /// Whether ICMP told of it, or it is such a message itself.
    pub(crate) icmp: bool,
}

impl Subject {
    /// A connection, about the data that goes one way.
    #[must_use]
    pub fn connection(connection: &Connection, side: Side) -> Self {
        let ends = connection.senders();
        let outwards = ends.map(|(sends, end)| sends.outwards(end.socket.flow));
        let mut subject = Self::default();
        for flow in outwards.chain(connection.seen_as.iter().copied()) {
            subject.add(side.outwards(flow));
        }
        for track in connection.tracks() {
            subject.places.extend(places(track));
            let icmp = &track.icmp;
            subject.icmp |= icmp.generated > 0
                || icmp.mtu_bytes.is_some()
                || !icmp.blocked.is_empty()
                || !icmp.seen.is_empty();
        }
        subject
    }

    /// An event with the connection it belongs to. `None` for one that is about the trace as a whole.
    #[must_use]
    pub fn event(event: &Event, state: &State) -> Option<Self> {
        let mut subject = Self::default();
        let flow = match &event.kind {
            EventKind::Packet(packet) => {
                subject.packet(packet);
                packet.flow_told()
            }
            kind => kind.flow()?,
        };
        subject.add(flow);
        if let Some((connection, side)) = state.connection(&flow) {
            let around = Self::connection(connection, side);
            subject.tuples.extend(around.tuples);
            subject.places.extend(around.places);
        }
        Some(subject)
    }

    fn add(&mut self, flow: Flow) {
        self.places.insert(flow.netns);
        self.tuples.push(flow);
    }

    /// Takes in where a packet is and what it says of itself.
    fn packet(&mut self, packet: &Packet) {
        let others = [&packet.peer, &packet.route, &packet.came_in];
        let known = others.into_iter().flatten().chain([&packet.device]);
        self.places.extend(known.map(|device| device.netns));
        self.add(packet.flow);
        self.icmp |= packet.icmp_error.is_some();
    }
}

/// The namespaces in which something happened to data.
fn places(track: &Track) -> impl Iterator<Item = NetnsId> + '_ {
    let narrow = track.oversized.values().chain(&track.passing);
    let narrow = narrow.flat_map(|drops| {
        let peer = drops.site.peer.iter().map(|peer| peer.netns);
        peer.chain([drops.site.key.netns])
    });
    let seen = track.seen.keys().chain(track.icmp.seen.keys());
    narrow
        .chain(track.other.keys().map(|key| key.netns))
        .chain(track.icmp.blocked.iter().map(|blocked| blocked.netns))
        .chain(seen.map(|&(netns, ..)| netns))
}
