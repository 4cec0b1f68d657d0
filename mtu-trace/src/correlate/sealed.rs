//! Datagrams of tunnels that encrypt (WireGuard): what they carry cannot be read. But a segment that is
//! sent again goes into one at once, and that one's length tells. Once may be chance; where it happens
//! again, the datagrams are the connection's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    connection::{Connection, Side},
    state::{ConnectionId, State},
};
use crate::{
    event::{Flow, Packet, PacketKind, Retransmit, UDP},
    topology::{NetnsId, Topology},
};

/// The kind of such tunnels' links.
const WIREGUARD: &str = "wireguard";
/// How long encryption may take: it waits for its turn on another CPU, ns.
const SOON_NS: u64 = 20_000_000;
/// Segments sent again within that time that are remembered, and datagrams' flows that may carry some.
const MOST_RESENT: usize = 64;
const MOST_CARRYING: usize = 256;
/// So often a datagram of a flow must have carried a connection's segment before that is believed.
const ENOUGH: usize = 2;
/// What is added to the packet inside: the outer IP header, UDP's, and WireGuard's own header and
/// authentication tag (16 bytes each), bytes.
const ADDED_V4: u32 = 20 + 8 + 32;
const ADDED_V6: u32 = 40 + 8 + 32;
/// It is filled up to a multiple of 16 bytes before.
const MOST_PADDING: u32 = 15;
/// Headers of the packet inside: IPv4 and TCP without options, IPv6 and TCP with as many as there may
/// be, bytes.
const LEAST_HEADERS: u32 = 40;
const MOST_HEADERS: u32 = 100;

/// A segment that was sent again just now.
#[derive(Clone, Copy, Debug)]
struct Resent {
    at_ns: u64,
    flow: Flow,
    seq: u32,
    payload_bytes: u32,
}

/// A segment that died in a datagram: when, ns, and its sequence number.
pub(super) type Loss = (u64, u32);

/// What a datagram that was dropped is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sealing {
    /// What it seems to be.
    Plain,
    /// A tunnel's, and nobody knows whose inside it.
    Others,
    /// A connection's, in a direction, with what has become known by this.
    Of((ConnectionId, Side), Vec<Loss>),
}

/// What a tunnel adds to a packet, bytes, by the flow of its datagrams.
pub(super) fn added(flow: &Flow) -> u32 {
    if flow.source.is_ipv4() {
        ADDED_V4
    } else {
        ADDED_V6
    }
}

/// What was sent again lately and what has died since, where there are such tunnels.
#[derive(Clone, Debug, Default)]
pub(super) struct Sealed {
    /// Namespaces with such a tunnel.
    ends: BTreeSet<NetnsId>,
    lately: VecDeque<Resent>,
    /// By the flow of datagrams and the socket whose segments they must have carried.
    carrying: BTreeMap<(Flow, Flow), Vec<Loss>>,
}

impl Sealed {
    /// Looks where there are such tunnels.
    pub fn look(&mut self, topology: &Topology) {
        let has_one = |netns: &crate::topology::Netns| {
            let mut links = netns.links.values();
            links.any(|link| link.kind == WIREGUARD)
        };
        let all = topology.namespaces.iter();
        self.ends = all
            .filter(|(_, netns)| has_one(netns))
            .map(|(id, _)| *id)
            .collect();
    }

    /// Takes in a segment that is sent again.
    pub fn resent(&mut self, at_ns: u64, retransmit: &Retransmit) {
        if self.ends.is_empty() {
            return;
        }
        if self.lately.len() == MOST_RESENT {
            self.lately.pop_front();
        }
        self.lately.push_back(Resent {
            at_ns,
            flow: retransmit.socket.flow,
            seq: retransmit.seq,
            payload_bytes: retransmit.end_seq.wrapping_sub(retransmit.seq),
        });
    }

    fn is_open(&self, flow: &Flow) -> bool {
        let ours = self.carrying.iter().filter(|((outer, _), _)| outer == flow);
        ours.into_iter().any(|(_, losses)| losses.len() >= ENOUGH)
    }
}

impl State {
    /// Whose segment a datagram that was dropped carries.
    pub(super) fn unseal(&mut self, time_ns: u64, packet: &Packet) -> Sealing {
        let is_dropped = matches!(packet.what, PacketKind::Dropped { .. });
        if !is_dropped || packet.inner.is_some() || !self.is_tunnels(&packet.flow) {
            return Sealing::Plain;
        }
        let Some(resent) = self.carried(time_ns, packet) else {
            return if self.sealed.is_open(&packet.flow) {
                Sealing::Others
            } else {
                Sealing::Plain
            };
        };
        let Some(&(id, index)) = self.sockets.get(&resent.flow) else {
            return Sealing::Plain;
        };
        let carrying = &mut self.sealed.carrying;
        if carrying.len() >= MOST_CARRYING {
            carrying.clear();
        }
        let losses = carrying.entry((packet.flow, resent.flow)).or_default();
        let loss = (time_ns, resent.seq);
        if losses.len() >= ENOUGH {
            return Sealing::Of((id, Connection::sends(index)), vec![loss]);
        }
        losses.push(loss);
        if losses.len() < ENOUGH {
            return Sealing::Plain;
        }
        let losses = losses.clone();
        self.forget_stray(&packet.flow);
        Sealing::Of((id, Connection::sends(index)), losses)
    }

    /// Whether a flow is one of a host with such a tunnel, to or from its own address.
    fn is_tunnels(&self, flow: &Flow) -> bool {
        let own = |netns, end: std::net::SocketAddr| self.topology.owner(netns, end.ip()).is_some();
        flow.protocol == UDP
            && self.sealed.ends.iter().any(|&netns| {
                self.is_connected(netns, flow.netns)
                    && (own(netns, flow.source) || own(netns, flow.destination))
            })
    }

    /// The one segment that a datagram must carry; `None` if there is none, or one of several
    /// connections.
    fn carried(&self, time_ns: u64, packet: &Packet) -> Option<Resent> {
        let inside = packet.length_bytes.checked_sub(added(&packet.flow))?;
        let may_carry = |resent: &&Resent| {
            let headers = inside.wrapping_sub(resent.payload_bytes);
            time_ns.abs_diff(resent.at_ns) <= SOON_NS
                && (LEAST_HEADERS..=MOST_HEADERS + MOST_PADDING).contains(&headers)
                && self.is_connected(packet.flow.netns, resent.flow.netns)
        };
        let mut carried = self.sealed.lately.iter().filter(may_carry);
        let found = *carried.next()?;
        // The same one may have been sent again twice.
        carried
            .all(|other| other.flow == found.flow)
            .then_some(found)
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
