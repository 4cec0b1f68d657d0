//! Packets that are dropped, pass by, or tell of others: which connection and direction they are of, and
//! what they show of it.

use crate::core::sites::{
    DropSite, Tells, UNLISTED, is_cut, may_be_rest, netfilter_hook, oversized, sighted, signalled,
    told,
};
use crate::core::track::direction::{
    Blocked, DropRules, OtherDrops, OtherKey, PacketIdentity, SiteDrops, Track, raise,
};
use crate::core::track::repeats::RetransmittedDrops;
use crate::core::track::state::{DirectionId, State};
use crate::core::track::wireguard_match::{DatagramContent, Loss, added_bytes};
use crate::model::event::{DropRule, IcmpError, Packet, PacketKind, TCP, UDP, hook};

/// How often the kernel has counted what a packet shows, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    /// How often so far, exact.
    pub count: u64,
    /// How much of that was of an earlier connection with the same addresses.
    pub before: u64,
    /// The first time, ns.
    pub first_ns: u64,
    /// The latest time, ns.
    pub last_ns: u64,
}

/// How long after the message about it a packet is freed at most, ns: by the function that has sent the
/// message, in the same softirq. A choice: microseconds lie between, and 200 ms before the next try.
const SAME_SOFTIRQ_NS: u64 = 1_000_000;

fn identity(packet: &Packet) -> PacketIdentity {
    let seq = packet.tcp_of_ends().map(|tcp| tcp.seq);
    (packet.flow.netns, seq, packet.length_bytes)
}

impl State {
    pub(crate) fn packet(&mut self, time_ns: u64, packet: &Packet) {
        if let Some(error) = &packet.icmp_error {
            self.icmp_error(time_ns, packet, error);
            return;
        }
        if is_cut(packet) {
            return;
        }
        let Some(((id, side), segments)) = self.data_of(time_ns, packet) else {
            return;
        };
        if self.is_rest((id, side), time_ns, packet) {
            return;
        }
        if packet.inner.is_some() {
            // Counts and messages about a tunnel's packets speak of the outer flow.
            self.lead(packet.flow, (id, side));
        }
        let site = self.site_of(packet);
        let site = site.or_else(|| self.told_site((id, side), time_ns, packet));
        if let Some(connection) = self.edit(id) {
            connection.last_ns = time_ns;
        }
        if let Some((track, tally)) = self.edit_track((id, side), time_ns, packet) {
            track.observe(packet, site, segments, &tally);
        }
    }

    /// An ICMP error on its way or dropped: it belongs to the connection of the packet it quotes.
    fn icmp_error(&mut self, time_ns: u64, packet: &Packet, error: &IcmpError) {
        if let Some(quoted) = error.quoted
            && let Some(found) = self.look_up(quoted.flow, quoted.seq.unwrap_or(0), quoted.ack)
            && let Some((track, tally)) = self.edit_track(found, time_ns, packet)
        {
            track.observe_icmp_error(packet, error, &tally);
        }
    }

    /// Takes in which rules drop packets of a connection that is known by now.
    pub(crate) fn rule(&mut self, rule: &DropRule) {
        let known = self.sockets.get(&rule.flow);
        let known = known.or_else(|| self.flows.get(&rule.flow));
        if let Some(&(id, side)) = known
            && let Some(connection) = self.edit(id)
        {
            connection.track_mut(side).learn_rules(rule);
        }
    }

    /// A direction that a packet tells of, to be changed, and what the packet counts of it.
    fn edit_track(
        &mut self,
        (id, side): DirectionId,
        time_ns: u64,
        packet: &Packet,
    ) -> Option<(&mut Track, Tally)> {
        let connection = self.edit(id)?;
        let opened = connection.ends.iter().map(|end| end.socket.opened_ns);
        let opened_ns = opened.filter(|&ns| ns > 0).min().unwrap_or(0);
        // The kernel counts by addresses and place: what it had counted there before this connection was
        // opened was lost by another one with the same addresses.
        let (before, first_ns) = if packet.first_ns < opened_ns {
            (packet.count.saturating_sub(1), time_ns)
        } else {
            (0, packet.first_ns.min(time_ns))
        };
        let tally = Tally {
            count: packet.count,
            before,
            first_ns,
            last_ns: time_ns,
        };
        Some((connection.track_mut(side), tally))
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
        let blind = self.blind.contains(hook::DROPS);
        match packet.what {
            PacketKind::Dropped { .. } => oversized(packet, &self.topology),
            PacketKind::IcmpSent if blind => signalled(packet, &self.topology),
            PacketKind::Seen { .. } if blind => sighted(packet, &self.topology),
            _ => None,
        }
    }

    /// Whether it is what is left of a packet of which a piece has died in the same call: that was the loss.
    fn is_rest(&self, (id, side): DirectionId, time_ns: u64, packet: &Packet) -> bool {
        let last = self.get(id).and_then(|it| it.track(side).last_drop);
        may_be_rest(packet)
            && last.is_some_and(|(seq, length_bytes, died_ns)| {
                seq == packet.tcp_of_ends().map(|tcp| tcp.seq)
                    && length_bytes < packet.length_bytes
                    && time_ns.abs_diff(died_ns) <= SAME_SOFTIRQ_NS
            })
    }

    /// The place of a drop in a function that tells no length, where an ICMP "too big" about the same
    /// packet says that it was one for its size, or has said so of an earlier one there.
    fn told_site(&self, of: DirectionId, time_ns: u64, packet: &Packet) -> Option<DropSite> {
        let (id, side) = of;
        let track = self.get(id)?.track(side);
        let is_told = track.icmp.about.is_some_and(|(about, told_ns)| {
            about == identity(packet) && time_ns.abs_diff(told_ns) <= SAME_SOFTIRQ_NS
        });
        if !is_told && track.oversized.is_empty() {
            return None;
        }
        let is_known = |it: &DropSite| {
            let known = track.oversized.get(&it.key);
            known.is_some_and(|known| *it.site == UNLISTED || known.site.limit_bytes.is_none())
        };
        told(packet, &self.topology).filter(|site| is_told || is_known(site))
    }
}

impl Track {
    /// Takes in what a packet shows of the data it carries. `site` is the place it could not pass, or should
    /// not, if any; `segments` are those that a tunnel's datagram has carried, `None` for any other packet.
    fn observe(
        &mut self,
        packet: &Packet,
        site: Option<DropSite>,
        segments: Option<Vec<Loss>>,
        tally: &Tally,
    ) {
        let seq = packet.tcp_of_ends().map(|tcp| tcp.seq);
        if matches!(packet.what, PacketKind::Dropped { .. }) {
            self.last_drop = Some((seq, packet.length_bytes, tally.last_ns));
        }
        match (&packet.what, site) {
            (PacketKind::Dropped { .. }, Some(site)) => {
                if site.site.tells == Tells::SenderForReceiver {
                    // A tunnel has made the message of the packet itself.
                    raise(&mut self.icmp.generated, tally.count);
                }
                match segments {
                    Some(segments) => self.drop_in_tunnel(packet, site, &segments),
                    None => self.drop_for_size(site, seq, tally),
                }
            }
            (PacketKind::Dropped { function, reason }, None) => {
                let key = OtherKey {
                    netns: packet.flow.netns,
                    function: function.clone(),
                    reason: reason.clone(),
                    hook: netfilter_hook(packet),
                };
                self.drop_otherwise(key, packet, tally);
            }
            (PacketKind::IcmpSent, site) => {
                raise(&mut self.icmp.generated, tally.count);
                self.icmp.about = Some((identity(packet), tally.last_ns));
                if let Some(site) = site {
                    self.drop_for_size(site, seq, tally);
                }
            }
            (PacketKind::Seen { egress, .. }, site) => {
                let at = (packet.device.netns, packet.device.ifindex, *egress);
                raise(self.seen.entry(at).or_default(), tally.count);
                if let Some(site) = site {
                    self.pass(site, seq, tally);
                }
            }
        }
    }

    /// Takes in what an ICMP error says of the data that it quotes.
    fn observe_icmp_error(&mut self, packet: &Packet, error: &IcmpError, tally: &Tally) {
        let device = &packet.device;
        self.icmp.mtu_bytes = Some(error.mtu_bytes);
        match &packet.what {
            PacketKind::Dropped { function, reason } => self.icmp.block(Blocked {
                netns: device.netns,
                hook: netfilter_hook(packet),
                device: packet.has_device.then(|| device.clone()),
                function: function.clone(),
                reason: reason.clone(),
                count: packet.count,
                rules: DropRules::default(),
            }),
            PacketKind::Seen { egress, .. } => {
                let at = (device.netns, device.ifindex, *egress);
                raise(self.icmp.seen.entry(at).or_default(), tally.count);
                if let Some(quoted) = error.quoted {
                    self.icmp.quoted.insert(at, quoted.flow);
                }
            }
            PacketKind::IcmpSent => {}
        }
    }

    /// Takes in data that died for its size; `seq` is where it begins, `None` for a datagram.
    fn drop_for_size(&mut self, site: DropSite, seq: Option<u32>, tally: &Tally) {
        if let Some(seq) = seq {
            self.holes.lost(seq, tally.last_ns);
        }
        let known = self.oversized.entry(site.key.clone());
        let drops = known.or_insert_with(|| Box::new(SiteDrops::new(site.clone(), tally)));
        drops.site = site;
        drops.raise(tally.count, tally.last_ns);
    }

    /// Takes in segments that died in a tunnel's datagrams: of those it is known how many there were of
    /// all its connections, of this one's they are counted here.
    fn drop_in_tunnel(&mut self, packet: &Packet, site: DropSite, losses: &[Loss]) {
        let (Some(first), Some(last)) = (losses.first(), losses.last()) else {
            return;
        };
        for &(time_ns, seq) in losses {
            self.holes.lost(seq, time_ns);
        }
        let known = self.oversized.get(&site.key).map_or(0, |drops| drops.count);
        let tally = Tally {
            count: known.saturating_add(losses.len() as u64),
            before: 0,
            first_ns: first.0,
            last_ns: last.0,
        };
        // That it is this connection's is known by time and length only.
        let site = DropSite {
            known_function: false,
            overhead_bytes: added_bytes(&packet.flow_of_ends()),
            ..site
        };
        self.drop_for_size(site, None, &tally);
    }

    /// Takes in a segment that died for another reason than its size.
    fn drop_otherwise(&mut self, key: OtherKey, packet: &Packet, tally: &Tally) {
        let Some(tcp) = packet.tcp_of_ends() else {
            return;
        };
        let drops = self.other.entry(key).or_insert_with(|| OtherDrops {
            count: 0,
            first_ns: tally.first_ns,
            last_ns: tally.last_ns,
            device: (packet.device.ifindex != 0).then(|| packet.device.clone()),
            syn: false,
            retransmitted: RetransmittedDrops::default(),
            rules: DropRules::default(),
        });
        raise(&mut drops.count, tally.count);
        raise(&mut drops.last_ns, tally.last_ns);
        drops.syn |= tcp.syn;
        if tcp.payload_bytes > 0 {
            drops.retransmitted.add(tcp.seq);
        }
    }

    /// Takes in data that passed a place that its length should not pass; `seq` as with drops there.
    fn pass(&mut self, site: DropSite, seq: Option<u32>, tally: &Tally) {
        if let Some(seq) = seq {
            self.passed.lost(seq, tally.last_ns);
        }
        let fresh = || Box::new(SiteDrops::new(site, tally));
        let passing = self.passing.get_or_insert_with(fresh);
        raise(&mut passing.count, tally.count);
        raise(&mut passing.last_ns, tally.last_ns);
    }
}
