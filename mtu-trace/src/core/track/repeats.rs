//! One sequence number lost again and again, which makes a stall; and what is lost once and sent again.

/// Losses of one sequence number closer than this are one attempt, seen twice: as the segment sent
/// again and as its drop, ns. A choice between what two records of one attempt lie apart, well below a
/// millisecond, and the nearest next one: timeouts are 200 ms at least, and a tail loss probe waits for two
/// jiffies and two round trips (RFC 8985, section 7.2).
const SAME_ATTEMPT_NS: u64 = 5_000_000;

/// The kernel's smallest retransmission timeout (`TCP_RTO_MIN`), ns: what is lost twice that far apart is
/// at the head of the queue, since only its first segment is sent again on a timeout.
const RESENT_NS: u64 = 200_000_000;

/// Sequence numbers that are remembered of one place. A choice: most of what a window loses in one go.
const MOST_SEQS: usize = 16;

/// Losses of the lowest outstanding sequence number of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    /// The sequence number that does not get through now.
    pub open: Option<Open>,
    /// One behind it that was lost since.
    later: Option<Open>,
    /// The longest struggle that ended well.
    pub worst: Option<Recovery>,
    /// How many ended well.
    pub recoveries: u64,
}

/// A sequence number that does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// The sequence number that does not get through.
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

impl Open {
    fn new(seq: u32, time_ns: u64) -> Self {
        Self {
            seq,
            first_ns: time_ns,
            last_ns: time_ns,
            attempts: 1,
        }
    }

    fn again(&mut self, time_ns: u64) {
        if time_ns.saturating_sub(self.last_ns) >= SAME_ATTEMPT_NS {
            self.attempts += 1;
        }
        self.last_ns = self.last_ns.max(time_ns);
        // Two CPUs may report out of order.
        self.first_ns = self.first_ns.min(time_ns);
    }
}

/// Whether sequence number `a` lies behind `b` (RFC 9293, section 3.4).
#[must_use]
pub fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

impl Repeats {
    /// Takes in a loss of `seq`.
    pub fn lost(&mut self, seq: u32, time_ns: u64) {
        let Some(open) = &mut self.open else {
            self.open = Some(Open::new(seq, time_ns));
            return;
        };
        if open.seq == seq {
            open.again(time_ns);
            self.later = None;
        } else if after(seq, open.seq) {
            self.lost_later(seq, time_ns);
        } else {
            // A lower one: what was lost before waits for it.
            *open = Open {
                first_ns: open.first_ns.min(time_ns),
                ..Open::new(seq, time_ns)
            };
            self.later = None;
        }
    }

    /// What lies behind the open one waits for it. But if it is lost again and again and the open
    /// one no more, that one got through unseen.
    fn lost_later(&mut self, seq: u32, time_ns: u64) {
        match &mut self.later {
            Some(later) if later.seq == seq => {
                later.again(time_ns);
                if later.attempts > 1 && later.last_ns - later.first_ns >= RESENT_NS {
                    self.open = self.later.take();
                }
            }
            Some(later) if after(seq, later.seq) => {}
            later => *later = Some(Open::new(seq, time_ns)),
        }
    }

    /// Takes in that everything before `seq` is known to have got through.
    pub fn through(&mut self, seq: u32, time_ns: u64) {
        if self.open.is_some_and(|open| after(seq, open.seq)) {
            self.recovered(time_ns);
        }
    }

    /// Takes in what is known of the same data by another way.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.open.map(|open| open.attempts) > self.open.map(|open| open.attempts) {
            self.open = other.open;
            self.later = other.later;
        }
        self.worst = worse(self.worst, other.worst);
        self.recoveries += other.recoveries;
    }

    /// Takes in that the open one is known to have got through.
    pub fn recovered(&mut self, time_ns: u64) {
        let Some(open) = self.open.take() else {
            return;
        };
        self.later = None;
        self.recoveries += 1;
        let recovery = Recovery {
            attempts: open.attempts,
            took_ns: time_ns.saturating_sub(open.first_ns),
            at_ns: time_ns,
        };
        self.worst = worse(self.worst, Some(recovery));
    }
}

/// The longer struggle; the first if they are alike.
fn worse(one: Option<Recovery>, other: Option<Recovery>) -> Option<Recovery> {
    let both = [other, one].into_iter().flatten();
    both.max_by_key(|it| (it.attempts, it.took_ns))
}

/// The latest sequence numbers that were dropped at one place for no reason that the kernel gives, and how
/// many of them came again: only those were lost there, others may have been delivered before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetransmittedDrops {
    seqs: [u32; MOST_SEQS],
    /// How many were dropped, the forgotten ones included.
    count: usize,
    /// How often one of the dropped segments was sent again, as far as that was told.
    pub resent: u64,
}

impl RetransmittedDrops {
    /// Takes in that a segment with this sequence number was dropped.
    pub(crate) fn add(&mut self, seq: u32) {
        self.seqs[self.count % MOST_SEQS] = seq;
        self.count += 1;
    }

    /// Whether one of those that are remembered is so.
    pub(crate) fn any(&self, is_so: impl Fn(u32) -> bool) -> bool {
        let known = &self.seqs[..self.count.min(MOST_SEQS)];
        known.iter().any(|&seq| is_so(seq))
    }

    /// Takes in that a segment with this sequence number is sent again.
    pub(crate) fn resend(&mut self, seq: u32) {
        let known = &self.seqs[..self.count.min(MOST_SEQS)];
        self.resent += u64::from(known.contains(&seq));
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
    fn a_later_one_takes_over_when_the_open_one_stays_away() {
        let mut repeats = Repeats::default();
        repeats.lost(1000, 0);
        for time in [5000, 5210, 5630] {
            repeats.lost(9000, time * MS);
        }
        let open = repeats.open.unwrap();
        assert_eq!((open.seq, open.attempts), (9000, 3));
        assert_eq!(open.first_ns, 5000 * MS);
        assert_eq!(repeats.recoveries, 0);
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

    #[test]
    fn what_was_dropped_and_comes_again_is_counted() {
        let mut drops = RetransmittedDrops::default();
        drops.resend(0);
        assert_eq!(drops.resent, 0);
        for seq in 100..100 + 2 * u32::try_from(MOST_SEQS).unwrap_or(0) {
            drops.add(seq);
        }
        // The first half is forgotten.
        for (seq, resent) in [(100, 0), (131, 1), (116, 2), (131, 3), (132, 3)] {
            drops.resend(seq);
            assert_eq!(drops.resent, resent, "{seq}");
        }
    }
}
