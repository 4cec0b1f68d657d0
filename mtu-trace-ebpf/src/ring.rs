//! Counts repeated events exactly, lets only some of them through to user space, and counts those that
//! found no room.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::maps::LruHashMap;
use mtu_trace_common::map::{Aggregate, counter};
use mtu_trace_common::pace::{EventClass, PaceDecision, pace};
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

/// Puts an entry into an LRU map by its number, instead of the one that may be there, and counts it if
/// there was none.
#[inline(always)]
pub fn put<K, V>(map: &LruHashMap<K, V>, lru: u32, key: &K, value: &V) {
    if map.insert(key, value, u64::from(BPF_NOEXIST)).is_ok() {
        count(counter::inserted(lru));
    } else if map.insert(key, value, 0).is_err() {
        count(counter::MAP_FULL);
    }
}

/// Takes an entry out of an LRU map by its number, and counts that it was there.
#[inline(always)]
pub fn take_out<K, V>(map: &LruHashMap<K, V>, lru: u32, key: &K) {
    if map.remove(key).is_ok() {
        count(counter::deleted(lru));
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

/// Counts one event of `key` in an LRU map with its number and decides on it. `seq` is its TCP sequence
/// number where it has one.
#[inline(always)]
pub fn add<K>(
    (map, lru): (&LruHashMap<K, Aggregate>, u32),
    key: &K,
    seq: Option<u32>,
    now_ns: u64,
    class: EventClass,
) -> PaceDecision {
    let Some(entry) = map.get_ptr_mut(key) else {
        let first = Aggregate::first(now_ns, seq);
        // Another CPU was first, or the map has no room: this one event stays uncounted then.
        let inserted = map.insert(key, &first, u64::from(BPF_NOEXIST)).is_ok();
        count(if inserted {
            counter::inserted(lru)
        } else {
            counter::MAP_FULL
        });
        return PaceDecision::first(now_ns);
    };
    // SAFETY: the map's value stays valid while the program runs. Two CPUs may race on the fields
    // that only steer emission; the count is atomic.
    let entry = unsafe { &mut *entry };
    increment(&raw mut entry.count);
    pace(entry, now_ns, seq, class)
}

/// Adds one atomically.
///
/// The form that returns the sum is not there before Linux 5.12, and stable Rust has none for this
/// target: with two CPUs at it, the value read afterwards may already hold the other's event, while
/// the sum in the map is exact.
#[inline(always)]
fn increment(value: *mut u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the pointer is to an aligned u64 in a map value, which the verifier checks.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({value} + 0) += {one}",
            value = in(reg) value,
            one = in(reg) 1u64,
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    let _ = value;
}
