//! Segments that were dropped at a place for no reason that the kernel gives, and that were sent again:
//! only those were lost there. Others may have been delivered before they were freed.

/// Sequence numbers that are remembered of one place: what a window loses in one go, or most of it.
const MOST: usize = 16;

/// The latest sequence numbers that were dropped at one place, and how many of them came again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fallen {
    seqs: [u32; MOST],
    /// How many there ever were.
    count: usize,
    resent: u64,
}

impl Fallen {
    /// One with this sequence number was dropped.
    pub(crate) fn add(&mut self, seq: u32) {
        if let Some(place) = self.seqs.get_mut(self.count % MOST) {
            *place = seq;
            self.count += 1;
        }
    }

    /// One with this sequence number is sent again.
    pub(crate) fn resend(&mut self, seq: u32) {
        let known = self.seqs.get(..self.count.min(MOST)).unwrap_or_default();
        self.resent += u64::from(known.contains(&seq));
    }

    /// How often one of them was sent again, as far as that was told.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.resent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_and_comes_again_is_counted() {
        let mut fallen = Fallen::default();
        fallen.resend(0);
        assert_eq!(fallen.resent(), 0);
        for seq in 100..100 + 2 * u32::try_from(MOST).unwrap_or(0) {
            fallen.add(seq);
        }
        // The first half is forgotten.
        for (seq, resent) in [(100, 0), (131, 1), (116, 2), (131, 3), (132, 3)] {
            fallen.resend(seq);
            assert_eq!(fallen.resent(), resent, "{seq}");
        }
    }
}
