//! Keys and values of the kernel maps.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A flow as one side sees it, in one network namespace.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FlowKey {
    /// Cookie of the namespace; its inode number where the kernel has no cookies.
    pub netns: u64,
    /// Source address in network order; an IPv4 address fills the first four bytes. For a socket
    /// this is the local address.
    pub source: [u8; 16],
    /// Destination address, in the same form. For a socket this is the remote address.
    pub destination: [u8; 16],
    /// Source port in host byte order, 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port in host byte order.
    pub destination_port: u16,
    /// The version of IP, 4 or 6.
    pub family: u8,
    /// Transport protocol number (IANA).
    pub protocol: u8,
    /// Always zero: map keys are compared as bytes.
    pub reserved: [u8; 2],
}

/// One flow at one place.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DropKey {
    /// The flow, as the packet's headers had it there.
    pub flow: FlowKey,
    /// Address of the instruction that freed the packet; for a sighting at tc,
    /// `interface index << 1 | direction`.
    pub site: u64,
}

/// What repeated events of one key add up to.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Aggregate {
    /// Events so far, exact.
    pub count: u64,
    /// Time of the first one, ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
    /// Time of the latest one.
    pub last_ns: u64,
    /// Time of the last one that went to the ring.
    pub emitted_ns: u64,
    /// Lowest sequence number that has not been seen to move on.
    pub seq: u32,
    /// How often that very sequence number came again.
    pub repeats: u32,
}

/// A TCP connection of this host, from its handshake to a while after its end.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ConnectionEntry {
    /// When it was established, ns of `CLOCK_MONOTONIC`.
    pub opened_ns: u64,
    /// When the socket was closed, 0 while it is open.
    pub closed_ns: u64,
    /// How it ended, valid once it is closed.
    pub end: SocketEnd,
    /// Our initial sequence number.
    pub iss: u32,
    /// The peer's initial sequence number.
    pub irs: u32,
    /// What else is known, as [`flag`] bits.
    pub flags: u32,
    /// Padding, which is always zero.
    pub reserved: u32,
}

/// How a TCP socket ended.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SocketEnd {
    /// Bytes that the peer acknowledged over its life.
    pub bytes_acked: u64,
    /// Bytes received in order over its life.
    pub bytes_received: u64,
    /// TCP state before the close.
    pub last_state: u32,
    /// The error the application sees (errno), 0 for none.
    pub error: u32,
    /// Bytes sent and never acknowledged (`snd_nxt - snd_una`).
    pub unacknowledged: u32,
    /// Padding, which is always zero.
    pub reserved: u32,
}

/// Why a socket sent again, so far; all zero where that is not seen.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TimerCounts {
    /// Runs of its retransmission timer (`tcp_retransmit_timer`).
    pub timeouts: u32,
    /// Tail loss probes (`tcp_send_loss_probe`).
    pub probes: u32,
    /// How often it took all that was outstanding for lost (`tcp_enter_loss`).
    pub losses: u32,
    /// Padding, which is always zero.
    pub reserved: u32,
}

/// The bits that [`ConnectionEntry::flags`] and its copy in a record may have.
pub mod flag {
    /// This side opened the connection.
    pub const ACTIVE: u32 = 1;
    /// This socket has retransmitted.
    pub const RETRANSMITTED: u32 = 2;
    /// The handshake was seen.
    pub const KNOWN: u32 = 4;
}

/// A device, unique on this host.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DeviceKey {
    /// Inode of the namespace.
    pub netns_inode: u32,
    /// Its interface index in that namespace.
    pub ifindex: u32,
}

/// The layer-3 length above which a packet cannot go on from a device, by direction; 0 is no limit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DeviceLimits {
    /// For packets that come in by the device.
    pub ingress_bytes: u32,
    /// For packets that leave by the device.
    pub egress_bytes: u32,
}

/// Indices of the per-CPU counters.
pub mod counter {
    /// Records the ring buffer had no room for.
    pub const RING_FULL: u32 = 0;
    /// Events a map had no room for.
    pub const MAP_FULL: u32 = 1;
    /// How many counters there are.
    pub const COUNT: u32 = inserted(super::lru::COUNT);

    /// Entries put into an LRU map that were not there.
    #[must_use]
    pub const fn inserted(lru: u32) -> u32 {
        2 + 2 * lru
    }

    /// Entries taken out of an LRU map that were there.
    #[must_use]
    pub const fn deleted(lru: u32) -> u32 {
        inserted(lru) + 1
    }
}

/// Numbers of the LRU maps, which do not tell what they forget: what is put in and taken out is counted.
pub mod lru {
    /// Connections that are open.
    pub const CONNECTIONS: u32 = 0;
    /// Connections that have ended.
    pub const ENDED: u32 = 1;
    /// Counts of drops and sightings.
    pub const DROPS: u32 = 2;
    /// Counts of ICMP errors that were generated.
    pub const ICMP_SENT: u32 = 3;
    /// Counts of retransmits by socket.
    pub const RETRANSMITS: u32 = 4;
    /// Why sockets send again.
    pub const TIMERS: u32 = 5;
    /// Path MTUs taken over.
    pub const PATH_MTUS: u32 = 6;
    /// Sockets whose end is waited for.
    pub const WATCHED: u32 = 7;
    /// Counts of segments that could not be sent again, by socket.
    pub const UNSENT: u32 = 8;
    /// How many there are.
    pub const COUNT: u32 = 9;
}

/// Sizes of the maps where user space sets no others.
pub mod size {
    /// Bytes of the ring buffer.
    pub const RING_BYTES: u32 = 4 << 20;
    /// Connections kept for joining.
    pub const CONNECTIONS: u32 = 65_536;
    /// Ends of connections kept for late packets.
    pub const ENDED: u32 = 16_384;
    /// (flow, place) pairs counted.
    pub const DROPS: u32 = 16_384;
    /// Sockets whose retransmits are counted.
    pub const RETRANSMITS: u32 = 16_384;
    /// Sockets and routes whose path MTUs are counted.
    pub const PATH_MTUS: u32 = 4_096;
    /// Sockets user space wants the end of.
    pub const WATCHED: u32 = 16_384;
    /// Devices the tc programs know.
    pub const DEVICES: u32 = 16_384;
}

/// Marks types that aya may copy to and from the kernel.
#[cfg(feature = "user")]
macro_rules! pod {
    ($($name:ty),+) => {
        $(
            // SAFETY: the type is `repr(C)`, has no padding and no invalid bit patterns; zerocopy's
            // `FromBytes` and `IntoBytes` derives on it prove both at compile time.
            unsafe impl aya::Pod for $name {}
        )+
    };
}
#[cfg(feature = "user")]
pod!(
    Aggregate,
    ConnectionEntry,
    DeviceKey,
    DeviceLimits,
    DropKey,
    FlowKey
);
