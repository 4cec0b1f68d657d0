//! What is concluded, in the form users and other tools read it (`mtu-trace/report/1`).

use std::net::SocketAddr;

use serde::Serialize;

pub use crate::model::netns_ref::{ContainerRef, GuestRef, NetnsRef, ProcessRef};
use crate::model::network::{NetnsId, Topology};

/// A conclusion with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// `F1`, `F2`, … in the order of the report.
    pub id: String,
    /// What it is.
    pub verdict: Verdict,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// One sentence.
    pub summary: String,
    /// Whether it still goes on.
    pub ongoing: bool,
    /// First drop or retransmit, ns of `CLOCK_MONOTONIC`.
    #[serde(skip)]
    pub first_seen_ns: u64,
    /// When the finding was made.
    #[serde(skip)]
    pub detected_at_ns: u64,
    /// Latest event that belongs to it.
    #[serde(skip)]
    pub last_seen_ns: u64,
    /// Connections that share the cause.
    pub connections: usize,
    /// The worst of them.
    pub connection: Option<Connection>,
    /// Where packets die.
    pub boundary: Option<Boundary>,
    /// What became of path MTU discovery.
    pub pmtud: Option<Pmtud>,
    /// The numbers behind it.
    pub evidence: Evidence,
    /// The way of the packets, from the local end on.
    pub path: Vec<Hop>,
    /// What to do about it, best first.
    pub fixes: Vec<Fix>,
}

/// What a finding says. The names are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Oversized packets of a stalled connection die at a known place.
    MtuBlackHole,
    /// Full-size segments get nowhere, small ones do, and nothing is dropped here.
    RemoteBlackHole,
    /// Recovered, but late.
    PmtudSlow,
    /// Retransmits explained by local drops for another reason.
    LocalDrop,
    /// SYNs unanswered.
    HandshakeTimeout,
    /// Retransmits that recover, with nothing dropped here.
    PacketLoss,
    /// The receiver has no room: zero window.
    ReceiverStalled,
    /// Reset or given up after retransmits.
    ConnectionAborted,
    /// Oversized drops, then the sender came down.
    PmtudWorking,
    /// A larger MTU leads into a smaller one (`check`).
    MtuMismatch,
}

impl Verdict {
    /// Every verdict, in the order of the contract.
    pub const ALL: [Self; 10] = [
        Self::MtuBlackHole,
        Self::RemoteBlackHole,
        Self::PmtudWorking,
        Self::PmtudSlow,
        Self::LocalDrop,
        Self::PacketLoss,
        Self::HandshakeTimeout,
        Self::ReceiverStalled,
        Self::ConnectionAborted,
        Self::MtuMismatch,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MtuBlackHole => "mtu-black-hole",
            Self::RemoteBlackHole => "remote-black-hole",
            Self::PmtudSlow => "pmtud-slow",
            Self::LocalDrop => "local-drop",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::PacketLoss => "packet-loss",
            Self::ReceiverStalled => "receiver-stalled",
            Self::ConnectionAborted => "connection-aborted",
            Self::PmtudWorking => "pmtud-working",
            Self::MtuMismatch => "mtu-mismatch",
        }
    }
}

/// How bad a finding is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Hurts, or may.
    Warning,
    /// Something does not work.
    Error,
}

impl Severity {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// How sure a finding is, surest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Fits, but something else would fit too.
    Suspected,
    /// Only a part of the evidence is missing.
    Likely,
    /// Every part was seen.
    Confirmed,
}

impl Confidence {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Likely => "likely",
            Self::Confirmed => "confirmed",
        }
    }
}

/// A connection, from the end that matters to the user: the container's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Connection {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Local end.
    pub local: Endpoint,
    /// Remote end.
    pub remote: Endpoint,
    /// Which way the data goes that stalls.
    pub direction: Direction,
    /// The tuple as it was seen elsewhere, behind NAT.
    pub translated: Vec<String>,
}

/// Which way data goes, seen from the local end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the local end.
    Download,
    /// Away from it.
    Upload,
    /// Either way.
    Both,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// IP address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Its namespace, if the socket is on this host and known.
    pub netns: Option<NetnsRef>,
}

impl Endpoint {
    /// An end with its namespace named from the topology.
    #[must_use]
    pub fn new(at: SocketAddr, netns: Option<NetnsId>, topology: &Topology) -> Self {
        Self {
            address: at.ip().to_string(),
            port: at.port(),
            netns: netns.map(|id| NetnsRef::new(id, topology)),
        }
    }

    /// `192.0.2.1:80`, `[2001:db8::1]:80`.
    #[must_use]
    pub fn socket_address(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }
}

/// Where packets die.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Boundary {
    /// Namespace in which the kernel dropped them.
    pub netns: NetnsRef,
    /// Interface by which they came in.
    pub ingress: Option<String>,
    /// Interface by which they should have left.
    pub egress: Option<String>,
    /// The MTU they exceed.
    pub limit_bytes: u32,
    /// Their length from the IP header on.
    pub packet_bytes: u32,
    /// What a tunnel has added to the connection's own packets, bytes.
    #[serde(skip_serializing_if = "is_zero_bytes")]
    pub overhead_bytes: u32,
    /// Kernel function that dropped them.
    pub function: String,
    /// The kernel's drop reason.
    pub reason: Option<String>,
    /// Whether this place never tells the sender.
    pub silent: bool,
    /// The interface whose MTU is the limit, where that is the other end of a veth.
    pub peer: Option<BoundaryPeer>,
}

/// The other end of a veth, whose MTU is the limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoundaryPeer {
    /// Its namespace.
    pub netns: NetnsRef,
    /// Its name.
    pub interface: Option<String>,
    /// Its MTU.
    pub mtu_bytes: u32,
}

/// What became of path MTU discovery (RFC 1191, RFC 8201).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pmtud {
    /// Whether the boundary generated the ICMP message.
    pub signalled: bool,
    /// Whether it reached the sender, if that is known.
    pub delivered: Option<bool>,
    /// Where it was dropped.
    pub blocked_at: Option<BlockedAt>,
}

/// Where the ICMP message was dropped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlockedAt {
    /// In this namespace.
    pub netns: NetnsRef,
    /// Netfilter hook: `PREROUTING`, `INPUT`, `FORWARD`, `OUTPUT` or `POSTROUTING`.
    pub hook: Option<&'static str>,
    /// The device it was at, if any.
    pub interface: Option<String>,
    /// Kernel function that dropped it.
    pub function: String,
    /// The kernel's drop reason.
    pub reason: Option<String>,
}

/// The numbers behind a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Packets dropped for their size.
    pub oversized_drops: u64,
    /// Packets dropped for other reasons.
    pub other_drops: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Most doublings of the retransmission timeout.
    pub max_backoff: u32,
    /// From the first lost packet to the last sign of the stall, ms.
    pub stalled_ms: u64,
    /// How often the same sequence number was lost or sent again.
    pub attempts: u32,
    /// That sequence number.
    pub seq: Option<u32>,
    /// ICMP "fragmentation needed" or "packet too big" generated.
    pub icmp_generated: u64,
    /// Of those, dropped on the way.
    pub icmp_dropped: u64,
    /// Oversized packets seen by the tc programs.
    pub oversized_seen: u64,
    /// Segment size of the sender at the last look, payload bytes.
    pub sender_mss: Option<u32>,
    /// Records of our own that were lost while this was observed.
    pub lost_events: u64,
    /// Ways through the host that lead over the place (`check`).
    #[serde(skip_serializing_if = "is_zero")]
    pub ways: usize,
    /// What was seen by which hook, in words.
    pub notes: Vec<String>,
}

/// One interface on the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// Its namespace.
    pub netns: NetnsRef,
    /// Its name.
    pub interface: String,
    /// Its MTU.
    pub mtu_bytes: u32,
    /// Its kind.
    pub kind: String,
    /// What a packet grows by in it, if it is a tunnel, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead_bytes: Option<u32>,
    /// The description somebody has given it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

impl Hop {
    /// A link as the topology knows it.
    #[must_use]
    pub fn new(netns: NetnsId, ifindex: u32, topology: &Topology) -> Option<Self> {
        let link = topology.link(netns, ifindex)?;
        Some(Self {
            netns: NetnsRef::new(netns, topology),
            interface: link.name.clone(),
            mtu_bytes: link.mtu_bytes,
            kind: link.kind.clone(),
            overhead_bytes: link.tunnel.as_ref().map(|tunnel| tunnel.overhead_bytes),
            alias: link.alias.clone(),
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero_bytes(bytes: &u32) -> bool {
    *bytes == 0
}

/// Something to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Fix {
    /// In a few words.
    pub title: String,
    /// Why it helps, and what it does not help.
    pub detail: String,
    /// To be run as they stand, as root on the host; empty where there is no command.
    pub commands: Vec<String>,
}
