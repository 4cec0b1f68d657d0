//! Datagrams of tunnels that encrypt (WireGuard): what they carry cannot be read. But a segment that is
//! sent again goes into one at once, and that one's length tells. Once may be chance; where it happens
//! each time, the datagrams are the connection's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use crate::core::track::state::{DirectionId, State};
use crate::model::event::{Flow, Packet, PacketKind, Retransmit, UDP};
use crate::model::network::{LinkKind, NetnsId, Topology};

/// How long encryption may take, ns. A choice: it waits for its turn on another CPU, a few scheduling
/// ticks at most.
const SOON_NS: u64 = 20_000_000;
/// How long before the sender's own CPU has told that it sent it may be done, ns. A choice: a few times
/// what records of two CPUs were seen to differ by.
const BEFORE_NS: u64 = 2_000_000;
/// Segments sent again lately that are remembered. A choice: more than a host sends again in
/// [`SOON_NS`].
const MOST_RESENT: usize = 64;
/// Pairs of flows of which one may carry the other that are remembered. A choice: more than there are
/// connections that stall at once.
const MOST_PAIRS: usize = 256;
/// So many segments sent again one after the other must each have died in a datagram of a flow before
/// it is believed that they are in it. A choice: a stall takes as many to be one.
const ENOUGH: usize = 3;
/// What is added to the packet inside besides the outer IP header, bytes: UDP's header, and WireGuard's own
/// and its authentication tag, 16 each (`struct message_data`, `drivers/net/wireguard/messages.h`).
const ADDED: u32 = 8 + 32;
/// The packet inside is filled up to a multiple of this before, but not beyond the tunnel's MTU, bytes
/// (`MESSAGE_PADDING_MULTIPLE`, `drivers/net/wireguard/messages.h`).
const PADDED_TO: u32 = 16;
/// TCP's header without options, bytes.
const TCP_HEADER: u32 = 20;
/// TCP options of data at most, bytes. A choice: timestamps and padding take 12, and there may be some more.
const MOST_OPTIONS: u32 = 20;

/// A segment that was sent again just now.
#[derive(Clone, Copy, Debug)]
struct Resent {
    at_ns: u64,
    flow: Flow,
    seq: u32,
    payload_bytes: u32,
    /// Whether a datagram that died has carried it, as it seems.
    matched: bool,
}

/// A segment that died in a datagram: when, ns, and its sequence number.
pub(crate) type Loss = (u64, u32);

/// What a datagram that was dropped carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DatagramContent {
    /// It is what it seems to be.
    Itself,
    /// It is a tunnel's, and nobody knows whose data is inside.
    Unknown,
    /// It carries data of a connection in a direction; these segments have become known to have died so.
    Segments(DirectionId, Vec<Loss>),
}

/// What a tunnel adds to a packet, bytes, by the flow of its datagrams.
pub(crate) fn added_bytes(flow: &Flow) -> u32 {
    ip_header_bytes(flow) + ADDED
}

fn ip_header_bytes(flow: &Flow) -> u32 {
    if flow.source.is_ipv4() { 20 } else { 40 }
}

/// A namespace with such tunnels.
#[derive(Clone, Debug)]
struct TunnelNetns {
    addresses: BTreeSet<IpAddr>,
    mtus: BTreeSet<u32>,
}

/// What was sent again lately and what has died since, where there are such tunnels.
#[derive(Clone, Debug, Default)]
pub(crate) struct WireguardMatch {
    ends: BTreeMap<NetnsId, TunnelNetns>,
    lately: VecDeque<Resent>,
    /// By the flow of datagrams and the socket whose segments they seem to carry.
    pairs: BTreeMap<(Flow, Flow), Vec<Loss>>,
    /// The flows of datagrams that are believed to carry some socket's segments.
    open: BTreeSet<Flow>,
}

impl WireguardMatch {
    /// Looks where there are such tunnels.
    pub fn look(&mut self, topology: &Topology) {
        let ends = topology.namespaces.iter().map(|(id, netns)| {
            let links = || netns.links.values();
            let tunnels = links().filter(|link| link.kind == LinkKind::Wireguard);
            let end = TunnelNetns {
                mtus: tunnels.map(|link| link.mtu_bytes).collect(),
                addresses: links()
                    .flat_map(|link| &link.addresses)
                    .map(|own| own.address)
                    .collect(),
            };
            (*id, end)
        });
        self.ends = ends.filter(|(_, end)| !end.mtus.is_empty()).collect();
    }

    /// Takes in a segment that is sent again.
    pub fn resent(&mut self, at_ns: u64, retransmit: &Retransmit) {
        if self.ends.is_empty() {
            return;
        }
        let flow = retransmit.socket.flow;
        // The one before got through, or died elsewhere: what seemed to carry it did not.
        let before = self.lately.iter().rev().find(|before| before.flow == flow);
        if before.is_some_and(|before| !before.matched) {
            self.pairs
                .retain(|(_, socket), losses| *socket != flow || losses.len() >= ENOUGH);
        }
        if self.lately.len() == MOST_RESENT {
            self.lately.pop_front();
        }
        self.lately.push_back(Resent {
            at_ns,
            flow,
            seq: retransmit.seq,
            payload_bytes: retransmit.end_seq.wrapping_sub(retransmit.seq),
            matched: false,
        });
    }

    /// Takes in that a datagram has carried a segment: what is known by that.
    fn carried(&mut self, outer: Flow, resent: &Resent, time_ns: u64) -> Vec<Loss> {
        let key = (outer, resent.flow);
        if self.pairs.len() >= MOST_PAIRS && !self.pairs.contains_key(&key) {
            self.pairs.retain(|_, losses| losses.len() >= ENOUGH);
            if self.pairs.len() >= MOST_PAIRS {
                self.pairs.pop_first();
            }
        }
        let losses = self.pairs.entry(key).or_default();
        let loss = (time_ns, resent.seq);
        if losses.len() >= ENOUGH {
            return vec![loss];
        }
        losses.push(loss);
        if losses.len() < ENOUGH {
            return Vec::new();
        }
        let known = losses.clone();
        if self.open.len() >= MOST_PAIRS {
            self.open.pop_first();
        }
        self.open.insert(outer);
        known
    }
}

impl State {
    /// What a packet that was dropped carries, if it is a datagram of such a tunnel.
    pub(crate) fn content_of(&mut self, time_ns: u64, packet: &Packet) -> DatagramContent {
        let is_dropped = matches!(packet.what, PacketKind::Dropped { .. });
        if !is_dropped || packet.inner.is_some() {
            return DatagramContent::Itself;
        }
        let Some(end) = self.tunnels_end(&packet.flow) else {
            return DatagramContent::Itself;
        };
        let inside = packet
            .length_bytes
            .saturating_sub(added_bytes(&packet.flow));
        let is_padded = inside.is_multiple_of(PADDED_TO) || end.mtus.contains(&inside);
        if is_padded
            && let Some((at, resent)) = self.resent_in(time_ns, packet.flow.netns, inside)
            && let Some(&place) = self.sockets.get(&resent.flow)
        {
            if let Some(resent) = self.wireguard.lately.get_mut(at) {
                resent.matched = true;
            }
            let losses = self.wireguard.carried(packet.flow, &resent, time_ns);
            if !losses.is_empty() {
                if losses.len() > 1 {
                    self.forget_stray(&packet.flow);
                }
                return DatagramContent::Segments(place, losses);
            }
        }
        if self.wireguard.open.contains(&packet.flow) {
            DatagramContent::Unknown
        } else {
            DatagramContent::Itself
        }
    }

    /// The host with such a tunnel from or to whose own address a flow is.
    fn tunnels_end(&self, flow: &Flow) -> Option<&TunnelNetns> {
        if flow.protocol != UDP {
            return None;
        }
        let networks = self.index.networks();
        let mut ends = self.wireguard.ends.iter();
        let found = ends.find(|(netns, end)| {
            let own = [flow.source.ip(), flow.destination.ip()];
            own.iter().any(|ip| end.addresses.contains(ip))
                && networks.are_connected(**netns, flow.netns)
        });
        found.map(|(_, end)| end)
    }

    /// The one segment that so many bytes inside a datagram must be; `None` if it is none, or may be
    /// one of several connections.
    fn resent_in(&self, time_ns: u64, netns: NetnsId, inside: u32) -> Option<(usize, Resent)> {
        let networks = self.index.networks();
        let may_be = |(_, resent): &(usize, &Resent)| {
            let least = ip_header_bytes(&resent.flow) + TCP_HEADER;
            let headers = inside.wrapping_sub(resent.payload_bytes);
            time_ns <= resent.at_ns.saturating_add(SOON_NS)
                && resent.at_ns <= time_ns.saturating_add(BEFORE_NS)
                && (least..=least + MOST_OPTIONS + PADDED_TO - 1).contains(&headers)
                && networks.are_connected(netns, resent.flow.netns)
        };
        let mut fitting = self.wireguard.lately.iter().enumerate().filter(may_be);
        let (at, resent) = fitting.next()?;
        // The same one may have been sent again twice.
        let all = fitting.all(|(_, other)| other.flow == resent.flow);
        all.then_some((at, *resent))
    }

    /// Forgets what datagrams were taken for.
    fn forget_stray(&mut self, flow: &Flow) {
        let known = self.flows.get(flow).map(|(id, _)| *id);
        let stray = known.filter(|id| self.get(*id).is_some_and(|it| it.ends.is_empty()));
        if let Some(id) = stray
            && let Some(gone) = self.remove(id)
        {
            self.forget_flows(id, &gone.flows);
        }
    }
}
