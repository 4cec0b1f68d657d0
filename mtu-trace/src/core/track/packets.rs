//! Packets that are dropped, pass by, or tell of others, taken into the connection they belong to.

use crate::{
    core::{
        sites::{SiteKind, netfilter_hook, oversized, sighted, signalled},
        track::{
            direction::{Blocked, OtherDrops, OtherKey, SiteDrops},
            retransmitted_drops::Fallen,
            state::State,
            wireguard_match::{Sealing, added},
        },
    },
    model::event::{IcmpError, Packet, PacketKind, TCP, UDP, hook},
};

impl State {
    pub(crate) fn packet(&mut self, time_ns: u64, packet: &Packet) {
        if let Some(error) = &packet.icmp_error {
            self.icmp_message(packet, error);
            return;
        }
        let flow = packet.flow_of_ends();
        if flow.protocol != TCP && flow.protocol != UDP {
            return;
        }
        let tcp = packet.tcp_of_ends();
        let (sealed, losses) = match self.unseal(time_ns, packet) {
            Sealing::Plain => (None, Vec::new()),
            Sealing::Others => return,
            Sealing::Of(place, losses) => (Some(place), losses),
        };
        let (seq, ack) = match tcp {
            Some(tcp) => (tcp.seq, tcp.has_ack.then_some(tcp.ack)),
            None => (0, None),
        };
        let found = if sealed.is_some() {
            sealed
        } else if matches!(packet.what, PacketKind::Seen { .. }) {
            // What only passes by is evidence for a loss, not one itself.
            self.flows.get(&flow).copied()
        } else {
            Some(self.find(flow, seq, ack))
        };
        let Some((id, side)) = found else {
            return;
        };
        if packet.inner.is_some() {
            // Counts and messages about a tunnel's packets speak of the outer flow.
            self.lead(packet.flow, id, side);
        }
        // Where drops are not seen, what is told of them or passes by stands for them.
        let blind = self.is_blind(hook::DROPS);
        let site = match packet.what {
            PacketKind::Dropped { .. } => oversized(packet, &self.topology),
            PacketKind::IcmpSent if blind => signalled(packet),
            PacketKind::Seen { .. } if blind => sighted(packet, &self.topology),
            _ => None,
        };
        let Some(connection) = self.edit(id) else {
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
                if let Some(mut site) = site {
                    if site.kind == SiteKind::Tunnel {
                        // It has made the message of the packet itself.
                        track.icmp.generated = track.icmp.generated.max(packet.count);
                    }
                    if sealed.is_some() {
                        // That it is this connection's is known by time and length only.
                        site.known_function = false;
                        site.overhead_bytes = added(&flow);
                        track.drop_in_tunnel(site, &losses);
                        return;
                    }
                    if tcp.is_some() {
                        track.holes.make().lost(seq, time_ns);
                    }
                    let fresh = SiteDrops::new(site, before, first_ns);
                    track.drop_for_size(fresh, packet.count, time_ns);
                } else if let Some(tcp) = tcp {
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
                        fallen: Fallen::default(),
                    });
                    drops.count = drops.count.max(packet.count);
                    drops.last_ns = drops.last_ns.max(time_ns);
                    drops.largest_bytes = drops.largest_bytes.max(packet.length_bytes);
                    drops.syn |= tcp.syn;
                    if tcp.payload_bytes > 0 {
                        drops.fallen.add(seq);
                    }
                }
            }
            PacketKind::IcmpSent => {
                track.icmp.generated = track.icmp.generated.max(packet.count);
                if let Some(site) = site {
                    if tcp.is_some() {
                        track.holes.make().lost(seq, time_ns);
                    }
                    let fresh = SiteDrops::new(site, before, first_ns);
                    track.drop_for_size(fresh, packet.count, time_ns);
                }
            }
            PacketKind::Seen { egress, .. } => {
                let key = (packet.device.netns, packet.device.ifindex, *egress);
                let seen = track.seen.entry(key).or_default();
                *seen = packet.count.max(*seen);
                if let Some(site) = site {
                    if tcp.is_some() {
                        track.passed.make().lost(seq, time_ns);
                    }
                    let fresh = SiteDrops::new(site, before, first_ns);
                    let passing = track.passing.get_or_insert_with(|| Box::new(fresh));
                    passing.count = passing.count.max(packet.count);
                    passing.last_ns = passing.last_ns.max(time_ns);
                }
            }
        }
    }

    /// An ICMP error on its way or dropped: it belongs to the connection of the packet it quotes.
    pub(crate) fn icmp_message(&mut self, packet: &Packet, error: &IcmpError) {
        let Some(quoted) = error.quoted else {
            return;
        };
        let Some((id, side)) = self.look_up(quoted.flow, quoted.seq.unwrap_or(0), quoted.ack)
        else {
            return;
        };
        let Some(connection) = self.edit(id) else {
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
}
