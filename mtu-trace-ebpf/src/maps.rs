//! The maps and globals that user space fills and reads.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use mtu_trace_common::layout::{ABSENT, extra};
use mtu_trace_common::map::{
    Aggregate, ConnectionEntry, DeviceKey, DeviceLimits, DropKey, FlowKey, TimerCounts, counter,
    size,
};

/// Offsets of kernel structure members, written by user space before loading.
#[unsafe(no_mangle)]
pub static LAYOUT: [Global<u32>; extra::TABLE_LEN] =
    [const { Global::new(ABSENT) }; extra::TABLE_LEN];

/// Every record to user space.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(size::RING_BYTES, 0);

/// Losses, counted where they happen.
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

/// Connections of this host that are open, with their initial sequence numbers. Least recently used ones go
/// first, so healthy connections cost no event and no care.
#[map]
pub static CONNECTIONS: LruHashMap<FlowKey, ConnectionEntry> =
    LruHashMap::with_max_entries(size::CONNECTIONS, 0);

/// Those of them that have ended, for packets that are still on their way. What is open is not forgotten
/// for what is over.
#[map]
pub static ENDED: LruHashMap<FlowKey, ConnectionEntry> =
    LruHashMap::with_max_entries(size::ENDED, 0);

/// Sockets whose end user space wants to hear of.
#[map]
pub static WATCHED: LruHashMap<FlowKey, u32> = LruHashMap::with_max_entries(size::WATCHED, 0);

/// Exact counts of dropped packets and of tc sightings, by flow and place.
#[map]
pub static DROPS: LruHashMap<DropKey, Aggregate> = LruHashMap::with_max_entries(size::DROPS, 0);

/// Exact counts of ICMP errors generated, by the flow that caused them.
#[map]
pub static ICMP_SENT: LruHashMap<DropKey, Aggregate> = LruHashMap::with_max_entries(size::DROPS, 0);

/// Exact counts of retransmits by socket.
#[map]
pub static RETRANSMITS: LruHashMap<FlowKey, Aggregate> =
    LruHashMap::with_max_entries(size::RETRANSMITS, 0);

/// The same of segments that were to be sent again and could not be.
#[map]
pub static UNSENT: LruHashMap<FlowKey, Aggregate> =
    LruHashMap::with_max_entries(size::RETRANSMITS, 0);

/// Why sockets send again.
#[map]
pub static TIMERS: LruHashMap<FlowKey, TimerCounts> =
    LruHashMap::with_max_entries(size::RETRANSMITS, 0);

/// Exact counts of path MTUs taken over, by socket, or by route.
#[map]
pub static PATH_MTUS: LruHashMap<FlowKey, Aggregate> =
    LruHashMap::with_max_entries(size::PATH_MTUS, 0);

/// Onward limits of the devices the tc programs sit on.
#[map]
pub static DEVICES: HashMap<DeviceKey, DeviceLimits> = HashMap::with_max_entries(size::DEVICES, 0);

/// The smallest limit of all devices: what is not above it needs no look-up.
#[map]
pub static SMALLEST_LIMIT: Array<u32> = Array::with_max_entries(1, 0);
