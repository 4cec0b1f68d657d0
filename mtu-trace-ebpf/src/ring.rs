//! Sends records to user space, and counts those that found no room.

use aya_ebpf::helpers::bpf_ktime_get_ns;
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

/// Sends a record, of which `fill` writes every field but the header; a full ring is counted.
#[inline(always)]
pub fn send<T: 'static>(kind: u32, time_ns: u64, fill: impl FnOnce(&mut T)) {
    let Some(mut entry) = RECORDS.reserve::<T>(0) else {
        return count(counter::RING_FULL);
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the pointer is to reserved ring memory of the record's size, and every record begins
    // with its header.
    unsafe {
        record
            .cast::<RecordHeader>()
            .write(header::<T>(kind, time_ns));
        fill(&mut *record);
    }
    entry.submit(0);
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
