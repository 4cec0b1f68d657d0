//! One sequence number lost again and again: what makes a stall.

/// Losses of one sequence number closer than this are one attempt, seen twice: as the segment sent
/// again and as its drop. The kernel's smallest retransmission timeout is 200 ms, and a tail loss
/// probe waits at least two jiffies and two round trips (RFC 8985, section 7.2).
const SAME_ATTEMPT_NS: u64 = 5_000_000;

/// Losses of the lowest outstanding sequence number of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    /// The sequence number that does not get through now.
    pub open: Option<Open>,
    /// The longest struggle that ended well.
    pub worst: Option<Recovery>,
    /// How many ended well.
    pub recoveries: u64,
}

/// A sequence number that does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// The sequence number.
    pub seq: u32,
    /// Its first loss, ns.
    pub first_ns: u64,
    /// Its latest loss, ns.
    pub last_ns: u64,
    /// Times it was lost.
    pub attempts: u32,
}

/// A sequence number that got through in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Times it had been lost.
    pub attempts: u32,
    /// From its first loss until it was known to be through, ns.
    pub took_ns: u64,
    /// When it was known to be through, ns.
    pub at_ns: u64,
}

/// Whether sequence number `a` lies behind `b` (RFC 9293, section 3.4).
#[must_use]
pub fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

impl Repeats {
    /// A loss of `seq`.
    pub fn lost(&mut self, seq: u32, time_ns: u64) {
        match &mut self.open {
            Some(open) if open.seq == seq => {
                if time_ns.saturating_sub(open.last_ns) >= SAME_ATTEMPT_NS {
                    open.attempts += 1;
                }
                open.last_ns = open.last_ns.max(time_ns);
                // Two CPUs may report out of order.
                open.first_ns = open.first_ns.min(time_ns);
            }
            // What lies behind the lowest one waits for it.
            Some(open) if after(seq, open.seq) => open.last_ns = open.last_ns.max(time_ns),
            open => {
                let first_ns = open.as_ref().map_or(time_ns, |open| open.first_ns);
                *open = Some(Open {
                    seq,
                    first_ns: first_ns.min(time_ns),
                    last_ns: time_ns,
                    attempts: 1,
                });
            }
        }
    }

    /// Everything before `seq` is known to have got through.
    pub fn through(&mut self, seq: u32, time_ns: u64) {
        if self.open.is_some_and(|open| after(seq, open.seq)) {
            self.recovered(time_ns);
        }
    }

    /// Takes in what is known of the same data by another way.
    pub(super) fn merge(&mut self, other: Self) {
        let attempts = |open: &Option<Open>| open.map_or(0, |open| open.attempts);
        if attempts(&other.open) > attempts(&self.open) {
            self.open = other.open;
        }
        let struggle =
            |worst: &Option<Recovery>| worst.map(|worst| (worst.attempts, worst.took_ns));
        if struggle(&other.worst) > struggle(&self.worst) {
            self.worst = other.worst;
        }
        self.recoveries += other.recoveries;
    }

    /// The open one is known to have got through.
    pub fn recovered(&mut self, time_ns: u64) {
        let Some(open) = self.open.take() else {
            return;
        };
        let recovery = Recovery {
            attempts: open.attempts,
            took_ns: time_ns.saturating_sub(open.first_ns),
            at_ns: time_ns,
        };
        self.recoveries += 1;
        if self.worst.is_none_or(|worst| {
            (worst.attempts, worst.took_ns) < (recovery.attempts, recovery.took_ns)
        }) {
            self.worst = Some(recovery);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_resend_and_its_drop_are_one_attempt() {
        let mut repeats = Repeats::default();
        repeats.lost(100, 0);
        repeats.lost(100, 210 * MS);
        repeats.lost(100, 210 * MS + 30_000);
        assert_eq!(repeats.open.unwrap().attempts, 2);
    }

    #[test]
    fn what_lies_behind_is_no_attempt() {
        let mut repeats = Repeats::default();
        for segment in 0..10 {
            repeats.lost(1000 + segment * 1448, u64::from(segment));
        }
        let open = repeats.open.unwrap();
        assert_eq!((open.seq, open.attempts), (1000, 1));
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut repeats = Repeats::default();
        repeats.lost(u32::MAX - 10, 0);
        repeats.lost(5, MS);
        assert_eq!(repeats.open.unwrap().seq, u32::MAX - 10);
        repeats.through(6, 2 * MS);
        assert_eq!(repeats.open, None);
        assert_eq!(repeats.worst.unwrap().attempts, 1);
    }

    #[test]
    fn an_acknowledgement_of_older_data_changes_nothing() {
        let mut repeats = Repeats::default();
        repeats.lost(1000, 0);
        repeats.through(1000, MS);
        assert!(repeats.open.is_some());
        repeats.through(1001, MS);
        assert!(repeats.open.is_none());
    }
}
