//! What happened, decoded and attributed: the one event model that live tracing, captures, the
//! correlator and the reports share.
//!
//! Events are plain values. Names of interfaces, functions and reasons are already in them,
//! because they cannot be found later.

pub(crate) mod hook;
pub(crate) mod packet;
pub(crate) mod sender;
mod tcp_state;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use compact_str::CompactString;
pub use packet::{IcmpError, Inner, Packet, PacketKind, Quoted, Tcp};
pub use sender::{Retransmit, Sample, SendError, Timers};
use serde::{Deserialize, Serialize};
pub use tcp_state::TcpState;

use crate::base::text::stored::{printable, printable_or_none, printables};
use crate::model::network::{NetnsId, Topology};
use crate::model::store::StoreState;

/// A name of the kernel's: of a device, a function, a reason. Most are so short that a copy costs
/// nothing.
pub type Name = CompactString;

/// Something that happened at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// What kind of event it is, and what it holds.
    pub kind: EventKind,
}

/// The kinds of events, and what each holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The network as it is from now on.
    Topology(Arc<Topology>),
    /// A socket of this host that a later event may belong to.
    Connection(Socket),
    /// A packet somewhere in the kernel.
    Packet(Box<Packet>),
    /// A segment sent again.
    Retransmit(Box<Retransmit>),
    /// How a socket that is being looked at stands now.
    Sample(Sample),
    /// A socket that is being looked at came to its end.
    Closed(Closed),
    /// A path MTU taken over from an ICMP error.
    PathMtu(PathMtu),
    /// The packet filter rules that have dropped packets.
    Rule(DropRule),
    /// Exact counts of a site or socket, where they went on past the last event of it.
    Count(Count),
    /// Records lost so far, all told.
    Lost(u64),
    /// The hooks that are not at work, by name: what only they show is not seen from now on.
    Blind(#[serde(deserialize_with = "printables")] Vec<String>),
    /// How one of the tracer's own stores stands, whose room is bounded.
    Evicted(StoreState),
    /// What else the trace cannot see, in sentences.
    Limited(#[serde(deserialize_with = "printables")] Vec<String>),
    /// Time goes on: conclusions are drawn at ticks.
    Tick,
}

impl EventKind {
    /// The flow of a packet, a socket or a count; `None` for what is about the trace as a whole.
    #[must_use]
    pub fn flow(&self) -> Option<Flow> {
        match self {
            Self::Packet(packet) => Some(packet.flow),
            Self::Connection(socket) => Some(socket.flow),
            Self::Retransmit(retransmit) => Some(retransmit.socket.flow),
            Self::Sample(sample) => Some(sample.flow),
            Self::Closed(closed) => Some(closed.flow),
            Self::PathMtu(told) => Some(told.flow),
            Self::Rule(rule) => Some(rule.flow),
            Self::Count(Count::Dropped { flow, .. } | Count::Retransmitted { flow, .. }) => {
                Some(*flow)
            }
            Self::Topology(_)
            | Self::Lost(_)
            | Self::Blind(_)
            | Self::Evicted(_)
            | Self::Limited(_)
            | Self::Tick => None,
        }
    }
}

/// A flow as the headers have it, in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flow {
    /// Where it was seen.
    pub netns: NetnsId,
    /// Transport protocol number (IANA).
    pub protocol: u8,
    /// Sender; for a socket its local end.
    pub source: SocketAddr,
    /// Receiver; for a socket its remote end.
    pub destination: SocketAddr,
}

/// Number of TCP in an IP header.
pub const TCP: u8 = 6;
/// Number of UDP in an IP header.
pub const UDP: u8 = 17;

/// The drop reason of who gives none (`SKB_DROP_REASON_NOT_SPECIFIED`). Before Linux 5.17 there are no
/// reasons at all.
pub const NO_REASON: &str = "NOT_SPECIFIED";
/// The reason by which the kernel itself says that a packet was too long.
pub const TOO_BIG: &str = "PKT_TOO_BIG";

impl Flow {
    /// The same flow in the other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ..self
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source, self.destination)
    }
}

/// A TCP socket, from its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// Its addresses: source is local.
    pub flow: Flow,
    /// When it was established, ns of `CLOCK_MONOTONIC`; 0 when it is older than the trace.
    pub opened_ns: u64,
    /// Its initial sequence numbers, if the handshake was seen.
    pub isn: Option<Isn>,
    /// Whether it opened the connection, if that is known.
    pub active: Option<bool>,
}

impl Socket {
    /// Its initial sequence numbers, sent and received; `None` if its handshake was not seen.
    pub(crate) fn numbers(&self) -> Option<(u32, Option<u32>)> {
        self.isn.map(|isn| (isn.iss, Some(isn.irs)))
    }
}

/// Initial sequence numbers of a connection, from one side (RFC 9293, section 3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Isn {
    /// Initial send sequence number.
    pub iss: u32,
    /// Initial receive sequence number.
    pub irs: u32,
}

/// A device at an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Device {
    /// The namespace that the device is in.
    pub netns: NetnsId,
    /// The device's interface index in its namespace.
    pub ifindex: u32,
    /// The device's name then; `None` if it is not known.
    #[serde(deserialize_with = "printable_or_none")]
    pub name: Option<Name>,
    /// The device's MTU, bytes.
    pub mtu_bytes: u32,
}

/// A path MTU that an ICMP error told, or for a route one that a tunnel has found, and that is kept to
/// from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMtu {
    /// The socket that takes it over, source local; with protocol 0 it is the route to the
    /// destination, whoever sends there.
    pub flow: Flow,
    /// The MTU told, bytes.
    pub mtu_bytes: u32,
    /// What the socket kept to until then, bytes.
    pub before_bytes: Option<u32>,
    /// How often so far, exact.
    pub count: u64,
}

impl PathMtu {
    /// Whether a socket has taken it over, and not only a route.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.flow.protocol != 0
    }
}

/// The packet filter rules that may have dropped packets at a place, as they were read right after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRule {
    /// The flow that the packets tell of ([`Packet::flow_told`]).
    pub flow: Flow,
    /// The kernel function that dropped the packets.
    #[serde(deserialize_with = "printable")]
    pub function: Name,
    /// The netfilter hook, as in [`Packet::netfilter_hook`].
    #[serde(deserialize_with = "printable")]
    pub hook: Name,
    /// Each that would drop such a packet or might, in a line: one if there is no doubt.
    #[serde(deserialize_with = "printables")]
    pub rules: Vec<String>,
}

/// The end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The socket's addresses: source is local.
    pub flow: Flow,
    /// State before the close.
    pub last_state: TcpState,
    /// The error the application sees (errno), 0 for none.
    pub error: u32,
    /// Bytes acknowledged over its life.
    pub bytes_acked: u64,
    /// Bytes received in order over its life.
    pub bytes_received: u64,
    /// Bytes sent and never acknowledged.
    pub unacknowledged: u32,
}

/// An exact count from a kernel map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Packets of a flow freed in a function.
    Dropped {
        /// The flow as it is in that function's namespace.
        flow: Flow,
        /// The kernel function that freed the packets.
        #[serde(deserialize_with = "printable")]
        function: Name,
        /// How many there were so far, exact.
        count: u64,
        /// When the latest was, ns of `CLOCK_MONOTONIC`.
        last_ns: u64,
    },
    /// Retransmits of a socket.
    Retransmitted {
        /// The socket's addresses: source is local.
        flow: Flow,
        /// How many there were so far, exact.
        count: u64,
        /// When the latest was, ns of `CLOCK_MONOTONIC`.
        last_ns: u64,
    },
}
