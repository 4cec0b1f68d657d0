//! Sends records to user space, and counts those that found no room.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use mtu_trace_common::map::counter;
use mtu_trace_common::record::RecordHeader;

use crate::maps::{COUNTERS, RECORDS};

/// Adds one to a per-CPU counter.
#[inline(always)]
pub fn count(index: u32) {
    if let Some(value) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the pointer is to this CPU's own slot, valid while the program runs.
        unsafe { *value += 1 };
    }
}

/// Room for one record, all but its header unset; a full ring is counted.
#[inline(always)]
pub fn reserve<T: 'static>() -> Option<RingBufEntry<T>> {
    let entry = RECORDS.reserve::<T>(0);
    if entry.is_none() {
        count(counter::RING_FULL);
    }
    entry
}

/// The header of a record of type `T`.
#[inline(always)]
pub fn header<T>(kind: u32, time_ns: u64) -> RecordHeader {
    RecordHeader {
        kind,
        len: size_of::<T>() as u32,
        time_ns,
    }
}

/// Now, ns of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}
