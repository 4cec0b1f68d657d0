//! Which of the repeated events of one key go to user space.
//!
//! The first events of a key go, then one each growing interval, and always one that repeats the
//! lowest outstanding sequence number at timeout spacing: that is what tells a stall. A flood costs
//! neither records nor counts.

use crate::map::Aggregate;

/// Events of a key that go whatever their spacing. A choice: a stall shows within its first few
/// losses, and a whole window lost at once should not hide them.
pub const FIRST_EVENTS: u64 = 16;
/// Spacing from which on a repeated sequence number always goes, ns: below the kernel's smallest
/// retransmission timeout (`TCP_RTO_MIN`, 200 ms), above what fast retransmits come at.
pub const REPEAT_NS: u64 = 100_000_000;
/// Bounds of the growing interval, ns. A choice: at most twenty records a second of one key at
/// first, and one a second of a flood that lasts.
pub const MIN_INTERVAL_NS: u64 = 50_000_000;
/// The upper bound, see [`MIN_INTERVAL_NS`].
pub const MAX_INTERVAL_NS: u64 = 1_000_000_000;
/// The interval grows with the age of the key, of which it is this part. A choice.
const AGE_PART: u64 = 4;

/// What kind of event it is, by how densely such events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventClass {
    /// Losses go densely enough to tell a stall within its first timeouts.
    Losses,
    /// Of what is seen passing by the first goes, then one each [`MAX_INTERVAL_NS`].
    Passing,
}

/// What is to become of an event, and what it carries if it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceDecision {
    /// Events of the key so far, this one included.
    pub count: u64,
    /// Time of the key's first event, ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
    /// How often its sequence number came before; 0 where it has none.
    pub repeats: u32,
    /// Whether the event goes to user space.
    pub emit: bool,
}

impl Aggregate {
    /// The state after the first event of a key.
    #[must_use]
    #[inline(always)]
    pub fn first(now_ns: u64, seq: Option<u32>) -> Self {
        Self {
            count: 1,
            first_ns: now_ns,
            last_ns: now_ns,
            emitted_ns: now_ns,
            seq: seq.unwrap_or(0),
            repeats: 0,
        }
    }
}

impl PaceDecision {
    /// The decision about the first event of a key, which always goes.
    #[must_use]
    #[inline(always)]
    pub fn first(now_ns: u64) -> Self {
        Self {
            count: 1,
            first_ns: now_ns,
            repeats: 0,
            emit: true,
        }
    }
}

/// Takes a further event into the key's state and decides on it. `state` has counted it already,
/// since counting takes an atomic addition; `seq` is its TCP sequence number where it has one.
#[inline(always)]
pub fn pace(
    state: &mut Aggregate,
    now_ns: u64,
    seq: Option<u32>,
    class: EventClass,
) -> PaceDecision {
    let since_last_ns = now_ns.wrapping_sub(state.last_ns);
    let repeated = seq == Some(state.seq);
    let mut moved = false;
    if let Some(seq) = seq {
        if repeated {
            state.repeats = state.repeats.wrapping_add(1);
        } else if is_before(seq, state.seq) || since_last_ns > REPEAT_NS {
            // A lower one, or one after a pause while the former did not come again: the flow's
            // oldest outstanding byte is now this one.
            moved = since_last_ns > REPEAT_NS;
            state.seq = seq;
            state.repeats = 0;
        }
    }
    state.last_ns = now_ns;
    let age_ns = now_ns.wrapping_sub(state.first_ns);
    let interval_ns = (age_ns / AGE_PART).clamp(MIN_INTERVAL_NS, MAX_INTERVAL_NS);
    let since_ns = now_ns.wrapping_sub(state.emitted_ns);
    let emit = match class {
        EventClass::Losses => {
            state.count <= FIRST_EVENTS
                || since_ns >= interval_ns
                || moved
                || (repeated && since_ns >= REPEAT_NS)
        }
        EventClass::Passing => since_ns >= MAX_INTERVAL_NS,
    };
    if emit {
        state.emitted_ns = now_ns;
    }
    PaceDecision {
        count: state.count,
        first_ns: state.first_ns,
        repeats: if repeated { state.repeats } else { 0 },
        emit,
    }
}

/// Sequence numbers wrap: the signed difference orders them (RFC 9293, section 3.4).
#[inline(always)]
fn is_before(seq: u32, other: u32) -> bool {
    seq.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Events at these times, ms, with these sequence numbers, after one of `seq` 1000 at 0.
    fn decide<const N: usize>(
        events: [(u64, Option<u32>); N],
        class: EventClass,
    ) -> [PaceDecision; N] {
        let mut state = Aggregate::first(0, Some(1000));
        events.map(|(ms, seq)| {
            state.count += 1;
            pace(&mut state, ms * MS, seq, class)
        })
    }

    /// How many of the events of a flood of one a millisecond go.
    fn flood(milliseconds: u64, seq: impl Fn(u64) -> Option<u32>) -> usize {
        let mut state = Aggregate::first(0, Some(1000));
        (1..=milliseconds)
            .filter(|&ms| {
                state.count += 1;
                pace(&mut state, ms * MS, seq(ms), EventClass::Losses).emit
            })
            .count()
    }

    #[test]
    fn the_first_losses_all_go() {
        let first = usize::try_from(FIRST_EVENTS).unwrap();
        assert_eq!(flood(FIRST_EVENTS - 1, |_| None), first - 1);
        assert_eq!(flood(FIRST_EVENTS + 20, |_| None), first - 1);
    }

    #[test]
    fn a_flood_is_thinned_to_one_a_second() {
        let (one, two) = (flood(60_000, |_| None), flood(61_000, |_| None));
        assert_eq!(two - one, 1);
        assert!(one < 100, "{one}");
    }

    #[test]
    fn a_repeat_at_timeout_spacing_always_goes_and_is_counted() {
        let old = Aggregate {
            count: 1_000_000,
            emitted_ns: 99_900 * MS,
            last_ns: 99_900 * MS,
            ..Aggregate::first(0, Some(1000))
        };
        let at = |ms: u64, seq: u32| {
            let mut state = old;
            pace(
                &mut state,
                (99_900 + ms) * MS,
                Some(seq),
                EventClass::Losses,
            )
        };
        assert_eq!((at(100, 1000).emit, at(100, 1000).repeats), (true, 1));
        assert_eq!((at(99, 1000).emit, at(99, 1000).repeats), (false, 1));
        // Another one, later in the stream, says nothing so soon.
        assert_eq!((at(100, 2000).emit, at(100, 2000).repeats), (false, 0));
        // After a pause it is the oldest that is outstanding now.
        assert!(at(101, 2000).emit);
    }

    #[test]
    fn the_lowest_sequence_number_is_the_one_that_repeats() {
        let [_, lower, again, former] = decide(
            [
                (1, Some(2000)),
                (2, Some(500)),
                (3, Some(500)),
                (4, Some(1000)),
            ],
            EventClass::Losses,
        );
        assert_eq!((lower.repeats, again.repeats, former.repeats), (0, 1, 0));
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut state = Aggregate::first(0, Some(5));
        pace(&mut state, MS, Some(u32::MAX - 5), EventClass::Losses);
        assert_eq!(state.seq, u32::MAX - 5);
        pace(&mut state, 2 * MS, Some(5), EventClass::Losses);
        assert_eq!(state.seq, u32::MAX - 5);
    }

    #[test]
    fn of_what_passes_one_a_second_goes() {
        let [soon, second, next] = decide(
            [(999, None), (1000, None), (1999, None)],
            EventClass::Passing,
        );
        assert_eq!((soon.emit, second.emit, next.emit), (false, true, false));
        assert_eq!((soon.count, second.count, next.count), (2, 3, 4));
    }
}
