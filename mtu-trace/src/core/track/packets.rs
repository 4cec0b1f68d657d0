//! Packets that are dropped, pass by, or tell of others: which connection and direction they are of.

use crate::core::sites::{DropSite, oversized, sighted, signalled};
use crate::core::track::observation::{Observation, Tally};
use crate::core::track::side::Side;
use crate::core::track::state::{ConnectionId, State};
use crate::core::track::wireguard_match::{DatagramContent, Loss};
use crate::model::event::{IcmpError, Packet, PacketKind, TCP, UDP, hook};

/// A direction of a connection.
type DirectionId = (ConnectionId, Side);

impl State {
    pub(crate) fn packet(&mut self, time_ns: u64, packet: &Packet) {
        if let Some(error) = &packet.icmp_error {
            self.icmp_error(time_ns, packet, error);
            return;
        }
        let Some(((id, side), segments)) = self.data_of(time_ns, packet) else {
            return;
        };
        if packet.inner.is_some() {
            // Counts and messages about a tunnel's packets speak of the outer flow.
            self.lead(packet.flow, id, side);
        }
        if let Some(connection) = self.edit(id) {
            connection.last_ns = time_ns;
        }
        let site = self.site_of(packet);
        let observed = Observation::of_data(packet, site, segments);
        self.observe((id, side), time_ns, packet, observed);
    }

    /// An ICMP error on its way or dropped: it belongs to the connection of the packet it quotes.
    fn icmp_error(&mut self, time_ns: u64, packet: &Packet, error: &IcmpError) {
        let Some(quoted) = error.quoted else {
            return;
        };
        if let Some(found) = self.look_up(quoted.flow, quoted.seq.unwrap_or(0), quoted.ack) {
            let observed = Observation::of_icmp_error(packet, error);
            self.observe(found, time_ns, packet, observed);
        }
    }

    fn observe(
        &mut self,
        (id, side): (ConnectionId, Side),
        time_ns: u64,
        packet: &Packet,
        observed: [Option<Observation>; 2],
    ) {
        let Some(connection) = self.edit(id) else {
            return;
        };
        let opened = connection.ends.iter().map(|end| end.socket.opened_ns);
        let opened_ns = opened.filter(|&ns| ns > 0).min().unwrap_or(0);
        let tally = Tally::of(packet, opened_ns, time_ns);
        let track = connection.track_mut(side);
        for observation in observed.into_iter().flatten() {
            track.apply(observation, &tally);
        }
    }

    /// The connection and direction whose data a packet carries, made if it is new; and the segments in
    /// it, if it is a datagram of a tunnel that encrypts.
    fn data_of(
        &mut self,
        time_ns: u64,
        packet: &Packet,
    ) -> Option<(DirectionId, Option<Vec<Loss>>)> {
        let flow = packet.flow_of_ends();
        if flow.protocol != TCP && flow.protocol != UDP {
            return None;
        }
        match self.content_of(time_ns, packet) {
            DatagramContent::Itself => {}
            DatagramContent::Unknown => return None,
            DatagramContent::Segments(of, segments) => return Some((of, Some(segments))),
        }
        // What only passes by is evidence for a loss, not one itself.
        if matches!(packet.what, PacketKind::Seen { .. }) {
            return Some((*self.flows.get(&flow)?, None));
        }
        let (seq, ack) = match packet.tcp_of_ends() {
            Some(tcp) => (tcp.seq, tcp.has_ack.then_some(tcp.ack)),
            None => (0, None),
        };
        Some((self.find(flow, seq, ack), None))
    }

    /// The place that a packet could not pass, or should not. Where drops are not seen, what is told of
    /// them or passes by stands for them.
    fn site_of(&self, packet: &Packet) -> Option<DropSite> {
        let blind = self.is_blind(hook::DROPS);
        match packet.what {
            PacketKind::Dropped { .. } => oversized(packet, &self.topology),
            PacketKind::IcmpSent if blind => signalled(packet, &self.topology),
            PacketKind::Seen { .. } if blind => sighted(packet, &self.topology),
            _ => None,
        }
    }
}
