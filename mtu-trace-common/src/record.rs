//! The records that cross the ring buffer.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::map::{DropKey, FlowKey, SocketEnd, TimerCounts};

/// The values that [`RecordHeader::kind`] may have.
pub mod kind {
    /// [`super::PacketRecord`]: freed without having arrived (`skb:kfree_skb`).
    pub const DROP: u32 = 1;
    /// [`super::PacketRecord`]: an ICMP error is about to be sent because of it (`icmp:icmp_send`,
    /// `__icmp_send`, `icmp6_send`).
    pub const ICMP_SENT: u32 = 2;
    /// [`super::PacketRecord`]: seen at a device by the tc programs.
    pub const SIGHTING: u32 = 3;
    /// [`super::RetransmitRecord`]: a segment was sent again (`tcp:tcp_retransmit_skb`).
    pub const RETRANSMIT: u32 = 4;
    /// [`super::ClosedRecord`]: a watched socket was closed (`sock:inet_sock_set_state`).
    pub const CLOSED: u32 = 5;
    /// [`super::PacketRecord`]: what a tunnel has turned a packet into that it had no room for
    /// (`skb_tunnel_check_pmtu`), the message to its sender.
    pub const TUNNEL: u32 = 6;
    /// [`super::PathMtuRecord`]: a smaller path MTU was taken over.
    pub const PATH_MTU: u32 = 7;
}

/// What every record begins with.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RecordHeader {
    /// What the record is: see [`kind`].
    pub kind: u32,
    /// Its length in bytes, this header included.
    pub len: u32,
    /// When, ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
}

/// A device as the kernel showed it at that moment; all zero for none.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceRecord {
    /// Cookie of its namespace, 0 where the kernel has none.
    pub netns_cookie: u64,
    /// Inode of its namespace.
    pub netns_inode: u32,
    /// Its interface index in that namespace.
    pub ifindex: u32,
    /// Its MTU then, bytes.
    pub mtu: u32,
    /// 1 for a veth, else 0.
    pub is_veth: u32,
}

/// Most bytes of a packet's headers that a record carries, from the IP header on.
pub const HEAD_BYTES: usize = 192;

/// Most functions that a record tells of the calls in which a packet was dropped. A choice: those of the
/// tracing itself, and enough behind them to see which step of a packet's way it was.
pub const STACK_FUNCTIONS: usize = 16;

/// The bits of [`PacketRecord::conntrack`].
pub mod conntrack {
    /// The state, numbered as the kernel does (`enum ip_conntrack_info`).
    pub const STATE: u32 = 7;
    /// There is a connection.
    pub const TRACKED: u32 = 8;
    /// What the kernel has noted was read.
    pub const KNOWN: u32 = 16;
}

/// The values that [`PacketRecord::direction`] may have.
pub mod direction {
    /// Received by the device.
    pub const INGRESS: u32 = 1;
    /// Sent by the device.
    pub const EGRESS: u32 = 2;
}

/// A packet at one place in the kernel.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PacketRecord {
    /// Kind, length and time.
    pub header: RecordHeader,
    /// What this record is counted under.
    pub key: DropKey,
    /// Events of this key so far, this one included.
    pub count: u64,
    /// Time of the first event of this key.
    pub first_ns: u64,
    /// `skb->dev`, or where that is unset the route's device.
    pub device: DeviceRecord,
    /// The device of the packet's route, if it has one.
    pub route: DeviceRecord,
    /// The other end of [`PacketRecord::device`], if that is a veth.
    pub peer: DeviceRecord,
    /// Address of the route's input function, 0 without a route.
    pub route_input: u64,
    /// MTU metric of the route, 0 for none.
    pub route_mtu: u32,
    /// 1 where `skb->dev` was set, 0 where [`PacketRecord::device`] was taken from the route.
    pub has_device: u16,
    /// 1 where that MTU is locked, else 0.
    pub route_mtu_locked: u16,
    /// Interface index by which the packet came into this namespace, 0 for a local one.
    pub iif: u32,
    /// Bytes from the IP header to the end of the packet.
    pub l3_len: u32,
    /// Payload bytes of each segment of a GSO packet, 0 for a plain one.
    pub gso_size: u32,
    /// Bytes of IP and transport header; of a GSO packet in a tunnel up to the end of the inner ones.
    pub headers_len: u32,
    /// Drop reason as the kernel numbers it, subsystem bits included; 0 where there is none.
    pub reason: u32,
    /// At a tc hook: [`direction`]; elsewhere 0.
    pub direction: u32,
    /// At a tc hook: the onward limit that was exceeded, 0 for an ICMP sighting.
    pub limit: u32,
    /// How often this sequence number was here before.
    pub repeats: u32,
    /// EtherType in host byte order.
    pub ethertype: u32,
    /// Valid bytes of [`PacketRecord::head`].
    pub head_len: u32,
    /// What connection tracking makes of it: [`conntrack`]; 0 where that was not read.
    pub conntrack: u32,
    /// Fills the place up to the next field.
    pub reserved: u32,
    /// At a drop: where in which functions it happened, the innermost first; 0 behind the last.
    pub stack: [u64; STACK_FUNCTIONS],
    /// The packet from its IP header on.
    pub head: [u8; HEAD_BYTES],
}

/// A segment sent again by a socket of this host, or that was to be and could not.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RetransmitRecord {
    /// Kind, length and time.
    pub header: RecordHeader,
    /// The socket: source is local.
    pub key: FlowKey,
    /// Segments that this socket has sent again so far, exact.
    pub count: u64,
    /// Segments that it could not send again so far, exact.
    pub unsent: u64,
    /// Bytes acknowledged so far.
    pub bytes_acked: u64,
    /// Why it sent again so far.
    pub timers: TimerCounts,
    /// First sequence number of the segment.
    pub seq: u32,
    /// Sequence number after the segment.
    pub end_seq: u32,
    /// First byte not acknowledged.
    pub snd_una: u32,
    /// TCP state, numbered as the kernel does.
    pub state: u32,
    /// Congestion control state: 4 is Loss.
    pub ca_state: u32,
    /// Timeouts in a row without progress.
    pub retransmits: u32,
    /// Doublings of the retransmission timeout.
    pub backoff: u32,
    /// Segment size in use, bytes of payload.
    pub mss_cache: u32,
    /// Path MTU the sender works with.
    pub pmtu: u32,
    /// How many segments are in flight.
    pub packets_out: u32,
    /// Segments held by the peer out of order.
    pub sacked_out: u32,
    /// Our initial sequence number, valid with [`crate::map::flag::KNOWN`].
    pub iss: u32,
    /// The peer's initial sequence number.
    pub irs: u32,
    /// [`crate::map::flag`] bits of the connection.
    pub flags: u32,
    /// 0 where it was sent, else a negative errno.
    pub error: i32,
    /// Padding, which is always zero.
    pub reserved: u32,
}

/// The end of a watched socket.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ClosedRecord {
    /// Kind, length and time.
    pub header: RecordHeader,
    /// The socket: source is local.
    pub key: FlowKey,
    /// How the socket has ended.
    pub end: SocketEnd,
}

/// A path MTU that an ICMP error told, or a tunnel has found, taken over by a socket (`tcp_v4_mtu_reduced`,
/// `tcp_v6_mtu_reduced`) or for a route (`__ip_rt_update_pmtu`, `__ip6_rt_update_pmtu`).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PathMtuRecord {
    /// Kind, length and time.
    pub header: RecordHeader,
    /// The socket, source local; of a route the destination alone, with protocol 0.
    pub key: FlowKey,
    /// How often so far, exact.
    pub count: u64,
    /// The MTU told, bytes.
    pub mtu: u32,
    /// The socket's path MTU until then, bytes; 0 for a route.
    pub before: u32,
}
