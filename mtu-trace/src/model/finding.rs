//! What is concluded, in the form users and other tools read it (`mtu-trace/report/1`).

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::model::is_default;
pub use crate::model::netns_ref::NetnsRef;
use crate::model::network::{LinkKind, NetnsId, Topology};
pub use crate::model::verdict::{Confidence, Severity, Verdict};

/// A conclusion with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// `F1`, `F2`, … in the order of the report.
    pub id: String,
    /// The verdict that is concluded.
    pub verdict: Verdict,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// Whether it still goes on.
    pub ongoing: bool,
    /// First drop or retransmit, ns of `CLOCK_MONOTONIC`.
    #[serde(skip)]
    pub first_seen_ns: u64,
    /// When the finding was made, ns of `CLOCK_MONOTONIC`.
    #[serde(skip)]
    pub detected_at_ns: u64,
    /// The latest event that belongs to it, ns of `CLOCK_MONOTONIC`.
    #[serde(skip)]
    pub last_seen_ns: u64,
    /// How many connections share the cause; 0 where it is about none (`check`).
    pub connections: usize,
    /// The worst of these connections; `None` where it is about none (`check`).
    pub connection: Option<ConnectionRef>,
    /// The place where packets are dropped for their size; `None` where none is known.
    pub boundary: Option<Boundary>,
    /// What became of path MTU discovery; `None` where the finding is not about size.
    pub pmtud: Option<Pmtud>,
    /// The place where packets were dropped for another reason than their size; `None` where none is
    /// known, and where the finding is not about one.
    pub drop: Option<ReportedDrop>,
    /// The numbers behind it.
    pub evidence: Evidence,
    /// The way of the packets, from the local end on.
    pub path: Vec<ReportedHop>,
    /// What to do about it, best first.
    pub fixes: Vec<Fix>,
}

/// A connection, from the end that matters to the user: the container's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionRef {
    /// The protocol's name: `tcp`, `udp`, or `ip` for any other.
    pub protocol: &'static str,
    /// The end the finding is told from.
    pub local: Endpoint,
    /// The other end of it.
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
    /// Away from the local end.
    Upload,
    /// Towards and away from it.
    Both,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// The IP address, without brackets.
    pub address: IpAddr,
    /// The TCP or UDP port.
    pub port: u16,
    /// The socket's namespace; `None` unless it is on this host and known.
    pub netns: Option<NetnsRef>,
}

impl Endpoint {
    /// An end with its namespace named from the topology.
    pub fn new(at: SocketAddr, netns: Option<NetnsId>, topology: &Topology) -> Self {
        Self {
            address: at.ip(),
            port: at.port(),
            netns: netns.map(|id| NetnsRef::new(id, topology)),
        }
    }

    /// What a person would call it: its namespace, else its address and port.
    pub fn label(&self) -> String {
        match &self.netns {
            Some(netns) => netns.label(),
            None => self.socket_address(),
        }
    }

    /// Address and port as one writes them: `192.0.2.1:80`, `[2001:db8::1]:80`.
    pub fn socket_address(&self) -> String {
        SocketAddr::new(self.address, self.port).to_string()
    }
}

/// The place where packets are dropped for their size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Boundary {
    /// The namespace in which the kernel dropped them.
    pub netns: NetnsRef,
    /// The interface by which they came in; `None` for packets made here.
    pub ingress: Option<String>,
    /// The interface by which they should have left; `None` where it is not known.
    pub egress: Option<String>,
    /// The MTU that they exceed, bytes; `None` where the kernel has told none.
    pub limit_bytes: Option<u32>,
    /// Their length from the IP header on, bytes.
    pub packet_bytes: u32,
    /// What a tunnel has added to the connection's own packets, bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub overhead_bytes: u32,
    /// The kernel function that dropped them.
    pub function: String,
    /// The kernel's drop reason; `None` where it gives none.
    pub reason: Option<String>,
    /// Whether this place never tells the sender.
    pub silent: bool,
    /// The interface whose MTU is the limit, where that is the other end of a veth.
    pub peer: Option<BoundaryPeer>,
}

impl Boundary {
    /// The limit as a sentence has it: `1450`.
    pub fn limit(&self) -> String {
        self.limit_bytes
            .map_or_else(|| "not told".to_owned(), |bytes| bytes.to_string())
    }

    /// Whether a device with this MTU, bytes, lets no more pass than the place does.
    pub fn is_as_narrow(&self, mtu_bytes: u32) -> bool {
        self.limit_bytes.is_some_and(|limit| mtu_bytes <= limit)
    }
}

/// The other end of a veth, whose MTU is the limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoundaryPeer {
    /// The namespace it is in.
    pub netns: NetnsRef,
    /// The interface's name; `None` where it is not known.
    pub interface: Option<String>,
    /// The MTU of it, bytes.
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
    /// The namespace in which it was dropped.
    pub netns: NetnsRef,
    /// Netfilter hook: `PREROUTING`, `INPUT`, `FORWARD`, `OUTPUT` or `POSTROUTING`.
    pub hook: Option<&'static str>,
    /// The device it was at, if any.
    pub interface: Option<String>,
    /// Kernel function that dropped it.
    pub function: String,
    /// The kernel's drop reason; `None` where it gives none.
    pub reason: Option<String>,
    /// The packet filter rule that did it, as in [`ReportedDrop::rule`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why it ended there, after "the ICMP that should say so"; `None` where hook or function say all
    /// that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A place where packets were dropped for another reason than their size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportedDrop {
    /// The namespace in which the kernel dropped them.
    pub netns: NetnsRef,
    /// Kernel function that dropped them.
    pub function: String,
    /// The kernel's drop reason, `NOT_SPECIFIED` where it gives none.
    pub reason: String,
    /// Netfilter hook, as in [`BlockedAt::hook`]; `None` if something else dropped them, or if it is
    /// not known which.
    pub hook: Option<&'static str>,
    /// The packet filter rule that did it, where the rules that were read leave no doubt, or the few
    /// that may have; `None` where that is not known.
    pub rule: Option<String>,
    /// How many were dropped at this place.
    pub packets: u64,
    /// What the packets carried.
    pub carried: Carried,
    /// The device they were at, if any.
    pub interface: Option<String>,
}

/// What a packet carries: its place in the life of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carried {
    /// Data of a connection that is up.
    Data,
    /// The first packet of the side that opens it.
    Syn,
    /// The answer to that.
    SynAck,
}

/// The numbers behind a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// How many packets were dropped for their size.
    pub oversized_drops: u64,
    /// How many packets were dropped for other reasons.
    pub other_drops: u64,
    /// How many segments were sent again.
    pub retransmits: u64,
    /// How many segments could not be sent again.
    #[serde(skip_serializing_if = "is_default")]
    pub unsent: u64,
    /// Most doublings of the retransmission timeout.
    pub max_backoff: u32,
    /// From the first lost packet to the last sign of the stall, ms.
    pub stalled_ms: u64,
    /// How often the same sequence number was lost or sent again.
    pub attempts: u32,
    /// The sequence number that was lost so often; `None` where it is not known.
    pub seq: Option<u32>,
    /// How many ICMP "fragmentation needed" or "packet too big" were generated.
    pub icmp_generated: u64,
    /// How many of those were dropped on the way.
    pub icmp_dropped: u64,
    /// How many oversized packets the tc programs saw.
    pub oversized_seen: u64,
    /// Segment size of the sender at the last look, payload bytes.
    pub sender_mss: Option<u32>,
    /// Records of our own that were lost while this was observed.
    pub lost_events: u64,
    /// Ways through the host that lead over the place (`check`).
    #[serde(skip_serializing_if = "is_default")]
    pub ways: usize,
    /// What was seen by which hook, in words.
    pub notes: Vec<String>,
}

/// One interface on the way of the packets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportedHop {
    /// The namespace it is in.
    pub netns: NetnsRef,
    /// The name of the interface.
    pub interface: String,
    /// The MTU of it, bytes.
    pub mtu_bytes: u32,
    /// The kind of link, as `ip -d link` names it.
    pub kind: LinkKind,
    /// What a packet grows by in it, if it is a tunnel, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead_bytes: Option<u32>,
    /// The description somebody has given it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

impl ReportedHop {
    /// A link as the topology knows it; `None` for one that it does not know.
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
