//! What a packet says of one direction of a connection, and how that is taken in.
//!
//! To observe is pure: an event goes in, and a value comes out. What to do with it is in one place,
//! [`Track::apply`].

use crate::core::sites::{DropSite, Tells, netfilter_hook};
use crate::core::track::direction::{Blocked, OtherKey, SeenAt, SiteDrops, Track};
use crate::core::track::wireguard_match::{Loss, added_bytes};
use crate::model::event::{Device, IcmpError, Packet, PacketKind};

/// What one packet says of one direction of a connection.
#[derive(Debug)]
pub(crate) enum Observation {
    /// Data died for its size at a place; `seq` is where it begins, `None` for a datagram.
    Oversized { site: DropSite, seq: Option<u32> },
    /// Segments died for their size at a place inside a tunnel's datagrams.
    OversizedInTunnel { site: DropSite, segments: Vec<Loss> },
    /// A segment died for another reason.
    OtherDrop(OtherDrop),
    /// A packet passed a device.
    Seen(SeenAt),
    /// Data passed a place that its length should not pass; `seq` as with [`Observation::Oversized`].
    Passing { site: DropSite, seq: Option<u32> },
    /// This host made an ICMP message for the sender.
    IcmpSent,
    /// An ICMP message for the sender told this MTU, bytes.
    IcmpMtu(u32),
    /// An ICMP message for the sender passed a device.
    IcmpSeen(SeenAt),
    /// An ICMP message for the sender was dropped.
    IcmpBlocked(Blocked),
}

/// A segment that died for another reason than its size.
#[derive(Debug)]
pub(crate) struct OtherDrop {
    /// The place and the reason.
    pub key: OtherKey,
    /// The device at which it was seen.
    pub device: Device,
    /// The length of its packet, bytes.
    pub length_bytes: u32,
    /// Whether it carried a SYN.
    pub syn: bool,
    /// Where its data begins; `None` if it carried none.
    pub seq: Option<u32>,
}

/// How often the kernel has counted what was observed, and when.
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

impl Tally {
    /// What a packet event counts of a connection that was opened at `opened_ns`, 0 if that is not known.
    ///
    /// The kernel counts by addresses and place: what it had counted there before this connection was
    /// opened was lost by another one with the same addresses.
    pub fn of(packet: &Packet, opened_ns: u64, time_ns: u64) -> Self {
        let (before, first_ns) = if packet.first_ns < opened_ns {
            (packet.count.saturating_sub(1), time_ns)
        } else {
            (0, packet.first_ns.min(time_ns))
        };
        Self {
            count: packet.count,
            before,
            first_ns,
            last_ns: time_ns,
        }
    }
}

impl Observation {
    /// What a packet says of the data it carries. `site` is the place it could not pass, if any;
    /// `segments` are those that a tunnel's datagram has carried, `None` for any other packet.
    pub fn of_data(
        packet: &Packet,
        site: Option<DropSite>,
        segments: Option<Vec<Loss>>,
    ) -> [Option<Self>; 2] {
        let device = &packet.device;
        let seq = packet.tcp_of_ends().map(|tcp| tcp.seq);
        match (&packet.what, site) {
            (PacketKind::Dropped { .. }, Some(site)) => {
                // A tunnel has made the message of the packet itself.
                let sent = (site.site.tells == Tells::SenderForReceiver).then_some(Self::IcmpSent);
                [sent, Some(Self::oversized(packet, site, segments))]
            }
            (PacketKind::Dropped { .. }, None) => {
                [OtherDrop::of(packet).map(Self::OtherDrop), None]
            }
            (PacketKind::IcmpSent, site) => [
                Some(Self::IcmpSent),
                site.map(|site| Self::Oversized { site, seq }),
            ],
            (PacketKind::Seen { egress, .. }, site) => [
                Some(Self::Seen((device.netns, device.ifindex, *egress))),
                site.map(|site| Self::Passing { site, seq }),
            ],
        }
    }

    fn oversized(packet: &Packet, site: DropSite, segments: Option<Vec<Loss>>) -> Self {
        match segments {
            Some(segments) => Self::OversizedInTunnel {
                // That it is this connection's is known by time and length only.
                site: DropSite {
                    known_function: false,
                    overhead_bytes: added_bytes(&packet.flow_of_ends()),
                    ..site
                },
                segments,
            },
            None => Self::Oversized {
                site,
                seq: packet.tcp_of_ends().map(|tcp| tcp.seq),
            },
        }
    }

    /// What an ICMP error says of the data that it quotes.
    pub fn of_icmp_error(packet: &Packet, error: &IcmpError) -> [Option<Self>; 2] {
        let device = &packet.device;
        let observed = match &packet.what {
            PacketKind::Dropped { function, reason } => Some(Self::IcmpBlocked(Blocked {
                netns: device.netns,
                hook: netfilter_hook(packet),
                device: packet.has_device.then(|| device.clone()),
                function: function.clone(),
                reason: reason.clone(),
                count: packet.count,
            })),
            PacketKind::Seen { egress, .. } => {
                Some(Self::IcmpSeen((device.netns, device.ifindex, *egress)))
            }
            PacketKind::IcmpSent => None,
        };
        [Some(Self::IcmpMtu(error.mtu_bytes)), observed]
    }
}

impl OtherDrop {
    /// `None` for what is no TCP segment that was dropped.
    fn of(packet: &Packet) -> Option<Self> {
        let PacketKind::Dropped { function, reason } = &packet.what else {
            return None;
        };
        let tcp = packet.tcp_of_ends()?;
        Some(Self {
            key: OtherKey {
                netns: packet.flow.netns,
                function: function.clone(),
                reason: reason.clone(),
                hook: netfilter_hook(packet),
            },
            device: packet.device.clone(),
            length_bytes: packet.length_bytes,
            syn: tcp.syn,
            seq: (tcp.payload_bytes > 0).then_some(tcp.seq),
        })
    }
}

impl Track {
    /// Takes in what a packet says of this direction.
    pub(crate) fn apply(&mut self, observation: Observation, tally: &Tally) {
        match observation {
            Observation::Oversized { site, seq } => {
                if let Some(seq) = seq {
                    self.holes.make().lost(seq, tally.last_ns);
                }
                let fresh = SiteDrops::new(site, tally.before, tally.first_ns);
                self.drop_for_size(fresh, tally.count, tally.last_ns);
            }
            Observation::OversizedInTunnel { site, segments } => {
                self.drop_in_tunnel(site, &segments);
            }
            Observation::OtherDrop(drop) => self.drop_otherwise(drop, tally),
            Observation::Seen(at) => raise(self.seen.entry(at).or_default(), tally.count),
            Observation::Passing { site, seq } => {
                if let Some(seq) = seq {
                    self.passed.make().lost(seq, tally.last_ns);
                }
                let fresh = || Box::new(SiteDrops::new(site, tally.before, tally.first_ns));
                let passing = self.passing.get_or_insert_with(fresh);
                raise(&mut passing.count, tally.count);
                raise(&mut passing.last_ns, tally.last_ns);
            }
            Observation::IcmpSent => raise(&mut self.icmp.generated, tally.count),
            Observation::IcmpMtu(mtu_bytes) => self.icmp.mtu_bytes = Some(mtu_bytes),
            Observation::IcmpSeen(at) => {
                raise(self.icmp.seen.entry(at).or_default(), tally.count);
            }
            Observation::IcmpBlocked(blocked) => self.icmp.block(blocked),
        }
    }
}

/// Takes over what is higher: counts come from several CPUs, and out of order.
fn raise(known: &mut u64, to: u64) {
    *known = to.max(*known);
}
