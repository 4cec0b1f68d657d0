//! Datagrams of tunnels that encrypt (WireGuard): what they carry cannot be read. But a segment that is
//! sent again goes into one at once, and that one's length tells.

use std::collections::VecDeque;

use super::{
    connection::{Connection, Side},
    state::{ConnectionId, State},
};
use crate::{
    event::{Flow, Packet, PacketKind, Retransmit, UDP},
    topology::Topology,
};

/// The kind of such tunnels' links.
const WIREGUARD: &str = "wireguard";
/// How long encryption may take: it waits for its turn on another CPU, ns.
const SOON_NS: u64 = 20_000_000;
/// Segments sent again within that time that are remembered.
const MOST: usize = 64;
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

/// Where a datagram's segment belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsealed {
    /// Its connection and the direction in it.
    pub place: (ConnectionId, Side),
    /// Its sequence number.
    pub seq: u32,
}

/// What such a tunnel adds to a packet, bytes, by the flow of its datagrams.
pub(super) fn added(flow: &Flow) -> u32 {
    if flow.source.is_ipv4() {
        ADDED_V4
    } else {
        ADDED_V6
    }
}

/// What was sent again lately, where there are such tunnels.
#[derive(Clone, Debug, Default)]
pub(super) struct Sealed {
    any: bool,
    lately: VecDeque<Resent>,
}

impl Sealed {
    /// Looks whether there are such tunnels.
    pub fn look(&mut self, topology: &Topology) {
        let mut links = topology
            .namespaces
            .values()
            .flat_map(|it| it.links.values());
        self.any = links.any(|link| link.kind == WIREGUARD);
    }

    /// Takes in a segment that is sent again.
    pub fn resent(&mut self, at_ns: u64, retransmit: &Retransmit) {
        if !self.any {
            return;
        }
        if self.lately.len() == MOST {
            self.lately.pop_front();
        }
        self.lately.push_back(Resent {
            at_ns,
            flow: retransmit.socket.flow,
            seq: retransmit.seq,
            payload_bytes: retransmit.end_seq.wrapping_sub(retransmit.seq),
        });
    }
}

impl State {
    /// The one connection whose segment a datagram that was dropped must carry; `None` if there is none
    /// or more than one.
    pub(super) fn unseal(&self, time_ns: u64, packet: &Packet) -> Option<Unsealed> {
        let is_sealed = self.sealed.any
            && packet.flow.protocol == UDP
            && packet.inner.is_none()
            && matches!(packet.what, PacketKind::Dropped { .. });
        if !is_sealed {
            return None;
        }
        let inside = packet.length_bytes.checked_sub(added(&packet.flow))?;
        let may_carry = |resent: &&Resent| {
            let headers = inside.wrapping_sub(resent.payload_bytes);
            time_ns.abs_diff(resent.at_ns) <= SOON_NS
                && (LEAST_HEADERS..=MOST_HEADERS + MOST_PADDING).contains(&headers)
                && self.is_connected(packet.flow.netns, resent.flow.netns)
        };
        let mut carried = self.sealed.lately.iter().filter(may_carry);
        let found = carried.next()?;
        // The same one may have been sent again twice.
        if carried.any(|other| other.flow != found.flow) {
            return None;
        }
        let &(id, index) = self.sockets.get(&found.flow)?;
        Some(Unsealed {
            place: (id, Connection::sends(index)),
            seq: found.seq,
        })
    }

    /// Makes a tunnel's datagrams a part of a connection that goes through it, with those of them that
    /// were dropped before that was known.
    pub(super) fn open_up(&mut self, flow: Flow, (id, side): (ConnectionId, Side)) {
        let known = self.flows.get(&flow).copied();
        let stray = known.filter(|(other, _)| {
            *other != id && self.get(*other).is_some_and(|it| it.ends.is_empty())
        });
        if let Some((other, lost)) = stray
            && let Some(part) = self.remove(other)
        {
            self.forget_flows(other, &part.flows);
            let track = match lost {
                Side::Out => part.out,
                Side::In => part.incoming,
            };
            if let (Some(track), Some(connection)) = (track.into_known(), self.edit(id)) {
                connection.track_mut(side).merge(track);
            }
        }
        self.lead(flow, id, side);
    }
}
