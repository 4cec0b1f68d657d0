//! Packets somewhere in the kernel.

use std::ops::Not;

use serde::{Deserialize, Serialize};

use crate::base::text::stored::{printable, printable_or_none};
use crate::model::event::{Device, Flow, Name};

/// A packet somewhere in the kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packet {
    /// What became of it.
    pub what: PacketKind,
    /// The packet's flow in the namespace where it was.
    pub flow: Flow,
    /// `skb->dev`, or the route's device where that is unset.
    pub device: Device,
    /// Whether `skb->dev` was set.
    pub has_device: bool,
    /// Device that its route leads to; `None` if it has no route.
    pub route: Option<Device>,
    /// The other end of [`Packet::device`], if that is a veth.
    pub peer: Option<Device>,
    /// Device by which the packet came into the namespace.
    pub came_in: Option<Device>,
    /// The kernel function that handles packets received on this route.
    #[serde(deserialize_with = "printable_or_none")]
    pub route_input: Option<Name>,
    /// MTU metric of the route, bytes.
    pub route_mtu_bytes: Option<u32>,
    /// Whether that is locked (`ip route … mtu lock`). Captures of before it was known do not have it.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub route_mtu_locked: bool,
    /// Length on the wire of one packet, from the IP header to its end, bytes.
    pub length_bytes: u32,
    /// Length of the whole buffer from the IP header on; above the former for a GSO packet.
    pub buffer_bytes: u32,
    /// Length of the VLAN tag that is written into the frame, bytes; one beside it, as most are, has
    /// none.
    // Captures of before it was known do not have it.
    #[serde(default)]
    pub tag_bytes: u32,
    /// Whether it is a GSO packet.
    pub gso: bool,
    /// The TCP header; `None` of other packets.
    pub tcp: Option<Tcp>,
    /// The ICMP error it is.
    pub icmp_error: Option<IcmpError>,
    /// The packet it carries, if it is a tunnel's.
    pub inner: Option<Inner>,
    /// How many like it there were, this one included, exact.
    pub count: u64,
    /// When the first like it was, ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
    /// How often this very sequence number was here before.
    pub repeats: u32,
    /// The netfilter hook whose rules were being run, where the functions tell: `FORWARD`, `bridge
    /// FORWARD`, `ingress`; `None` if none were, and where that is not known.
    // Captures of before it was known do not have it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "printable_or_none"
    )]
    pub netfilter_hook: Option<Name>,
    /// The state that connection tracking has it in, as rules name it (`ct state`); `None` where that is
    /// not known.
    // Captures of before it was known do not have it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "printable_or_none"
    )]
    pub ct_state: Option<Name>,
    /// Headers from the IP header on, never payload. Whoever stores the event keeps them beside it, in
    /// a capture as the packet's bytes.
    #[serde(skip)]
    pub head: Vec<u8>,
}

impl Packet {
    /// The flow of the ends that talk: that of the packet inside, if it is a tunnel's.
    #[must_use]
    pub fn flow_of_ends(&self) -> Flow {
        self.inner.map_or(self.flow, |inner| inner.flow)
    }

    /// The flow that it tells of: for an ICMP error the one that it quotes, else that of the ends that talk.
    #[must_use]
    pub fn flow_told(&self) -> Flow {
        match &self.icmp_error {
            Some(error) => error.quoted.map_or(self.flow, |quoted| quoted.flow),
            None => self.flow_of_ends(),
        }
    }

    /// The TCP header of the ends that talk.
    #[must_use]
    pub fn tcp_of_ends(&self) -> Option<Tcp> {
        self.inner.map_or(self.tcp, |inner| inner.tcp)
    }

    /// Whether its device was sending it, if that was seen.
    #[must_use]
    pub fn egress(&self) -> Option<bool> {
        match self.what {
            PacketKind::Seen { egress, .. } => Some(egress),
            _ => None,
        }
    }

    /// What a tunnel has added to the packet of the ends, bytes.
    #[must_use]
    pub fn overhead_bytes(&self) -> u32 {
        self.inner.map_or(0, |inner| match inner.begins_at_bytes {
            0 => self.buffer_bytes.saturating_sub(inner.length_bytes),
            begins_at => begins_at,
        })
    }
}

/// The packet in a tunnel's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inner {
    /// Its flow. The namespace is that of the tunnel's packet, where it is not routed by this.
    pub flow: Flow,
    /// Its length from its IP header on, bytes: more than there is of it in a piece of a tunnel's packet.
    pub length_bytes: u32,
    /// Where its IP header is in the tunnel's packet, bytes from there on. Captures of before it was known
    /// have 0.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub begins_at_bytes: u32,
    /// Its TCP header; `None` of other packets.
    pub tcp: Option<Tcp>,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PacketKind {
    /// Freed before it arrived.
    Dropped {
        /// Kernel function that freed it, compiler suffixes stripped.
        #[serde(deserialize_with = "printable")]
        function: Name,
        /// Drop reason by name, such as `PKT_TOO_BIG`; `None` where the kernel has no reasons.
        #[serde(deserialize_with = "printable_or_none")]
        reason: Option<Name>,
    },
    /// An ICMP error about it is about to be sent.
    IcmpSent,
    /// Seen by a tc program.
    Seen {
        /// Whether the device was sending it.
        egress: bool,
        /// The onward limit it exceeds; `None` for an ICMP error on its way.
        limit_bytes: Option<u32>,
    },
}

/// The TCP header, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tcp {
    /// The sequence number of its first byte.
    pub seq: u32,
    /// The acknowledgement number, valid with `has_ack`.
    pub ack: u32,
    /// Whether the SYN flag is set.
    pub syn: bool,
    /// Whether the ACK flag is set.
    pub has_ack: bool,
    /// Payload bytes in the whole buffer.
    pub payload_bytes: u32,
}

/// An ICMP "fragmentation needed" or ICMPv6 "packet too big" message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpError {
    /// The MTU it tells, bytes; 0 where the router did not say.
    pub mtu_bytes: u32,
    /// The packet it is about.
    pub quoted: Option<Quoted>,
}

/// The packet quoted in an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quoted {
    /// Its flow, in the namespace where the error was seen.
    pub flow: Flow,
    /// Its TCP sequence number.
    pub seq: Option<u32>,
    /// Its acknowledgement number, if the quotation reaches that far.
    pub ack: Option<u32>,
}

/// Whether a number of bytes that cannot be 0 is.
fn is_unknown(bytes: &u32) -> bool {
    *bytes == 0
}
