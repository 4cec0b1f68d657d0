//! Counts repeated events exactly and lets only some of them through to the ring.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::maps::LruHashMap;
use mtu_trace_common::map::{Aggregate, counter};
use mtu_trace_common::pace::{EventClass, PaceDecision, pace};

use crate::ring;

/// Counts one event of `key` and decides on it. `seq` is its TCP sequence number where it has one.
#[inline(always)]
pub fn add<K>(
    map: &LruHashMap<K, Aggregate>,
    key: &K,
    seq: Option<u32>,
    now_ns: u64,
    class: EventClass,
) -> PaceDecision {
    let Some(entry) = map.get_ptr_mut(key) else {
        let first = Aggregate::first(now_ns, seq);
        if map.insert(key, &first, u64::from(BPF_NOEXIST)).is_err() {
            // Another CPU was first, or the map has no room: this one event stays uncounted.
            ring::count(counter::MAP_FULL);
        }
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
