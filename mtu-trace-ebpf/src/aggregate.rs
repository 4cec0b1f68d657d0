//! Counts repeated events exactly and lets only some of them through to the ring.
//!
//! The first events of a key go through, then one each growing interval, and always one that
//! repeats the lowest outstanding sequence number at timeout spacing: that is what tells a stall.
//! A flood costs neither records nor counts.

use aya_ebpf::{bindings::BPF_NOEXIST, maps::LruHashMap};
use mtu_trace_common::map::{Aggregate, counter};

use crate::ring;

/// Events of a key that go through whatever their spacing.
const FIRST: u64 = 16;
/// Spacing above which a repeated sequence number always goes through: below the kernel's smallest
/// retransmission timeout (`TCP_RTO_MIN`, 200 ms).
const REPEAT_NS: u64 = 100_000_000;
/// Bounds of the growing interval.
const MIN_INTERVAL_NS: u64 = 50_000_000;
const MAX_INTERVAL_NS: u64 = 1_000_000_000;

/// How many events go through.
#[derive(Clone, Copy)]
pub enum Pace {
    /// Losses: enough to tell a stall within its first timeouts.
    Losses,
    /// What is seen passing by: the first, then one a second.
    Passing,
}

/// What became of an event.
pub struct Counted {
    /// Events of the key so far.
    pub count: u64,
    /// Time of the first one.
    pub first_ns: u64,
    /// How often its sequence number was seen before.
    pub repeats: u32,
    /// Whether it should go to the ring.
    pub emit: bool,
}

/// Counts one event of `key`. `seq` is its TCP sequence number where it has one.
#[inline(always)]
pub fn add<K>(
    map: &LruHashMap<K, Aggregate>,
    key: &K,
    seq: Option<u32>,
    now_ns: u64,
    pace: Pace,
) -> Counted {
    let Some(entry) = map.get_ptr_mut(key) else {
        let first = Aggregate {
            count: 1,
            first_ns: now_ns,
            last_ns: now_ns,
            emitted_ns: now_ns,
            seq: seq.unwrap_or(0),
            repeats: 0,
        };
        if map.insert(key, &first, u64::from(BPF_NOEXIST)).is_err() {
            // Another CPU was first, or the map has no room: this one event stays uncounted.
            ring::count(counter::MAP_FULL);
        }
        return Counted {
            count: 1,
            first_ns: now_ns,
            repeats: 0,
            emit: true,
        };
    };
    // SAFETY: the map's value stays valid while the program runs. Two CPUs may race on the fields
    // that only steer emission; the count is atomic.
    let entry = unsafe { &mut *entry };
    let count = increment(&raw mut entry.count);
    let repeated = seq == Some(entry.seq);
    let mut moved = false;
    if let Some(seq) = seq {
        // Sequence numbers wrap: the signed difference orders them (RFC 9293, section 3.4).
        if repeated {
            entry.repeats += 1;
        } else if (seq.wrapping_sub(entry.seq) as i32) < 0
            || now_ns.wrapping_sub(entry.last_ns) > REPEAT_NS
        {
            // A lower one, or one after a pause while the former did not come again: the flow's
            // oldest outstanding byte is now this one.
            moved = now_ns.wrapping_sub(entry.last_ns) > REPEAT_NS;
            entry.seq = seq;
            entry.repeats = 0;
        }
    }
    entry.last_ns = now_ns;
    let age = now_ns.wrapping_sub(entry.first_ns);
    let interval = (age / 4).clamp(MIN_INTERVAL_NS, MAX_INTERVAL_NS);
    let since = now_ns.wrapping_sub(entry.emitted_ns);
    let emit = match pace {
        Pace::Losses => {
            count <= FIRST || since >= interval || moved || (repeated && since >= REPEAT_NS)
        }
        Pace::Passing => since >= MAX_INTERVAL_NS,
    };
    if emit {
        entry.emitted_ns = now_ns;
    }
    Counted {
        count,
        first_ns: entry.first_ns,
        repeats: if repeated { entry.repeats } else { 0 },
        emit,
    }
}

/// Adds one atomically and returns the value then found.
///
/// The form without a returned value is the only one kernels before 5.12 have, and stable Rust has
/// none for this target: with two CPUs at it, the value returned may already hold the other's
/// event, while the sum in the map is exact.
#[inline(always)]
fn increment(value: *mut u64) -> u64 {
    // SAFETY: the pointer is to an aligned u64 in a map value, which the verifier checks.
    unsafe {
        #[cfg(target_arch = "bpf")]
        core::arch::asm!(
            "lock *(u64 *)({value} + 0) += {one}",
            value = in(reg) value,
            one = in(reg) 1u64,
        );
        value.read_volatile()
    }
}
