//! Segments that were dropped at a place for no reason that the kernel gives, and that were sent again:
//! only those were lost there. Others may have been delivered before they were freed.

/// Sequence numbers that are remembered of one place. A choice: most of what a window loses in one go.
const MOST: usize = 16;

/// The latest sequence numbers that were dropped at one place, and how many of them came again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetransmittedDrops {
    seqs: [u32; MOST],
    /// How many were dropped, the forgotten ones included.
    count: usize,
    /// How often one of the dropped segments was sent again, as far as that was told.
    pub resent: u64,
}

impl RetransmittedDrops {
    /// Takes in that a segment with this sequence number was dropped.
    pub(crate) fn add(&mut self, seq: u32) {
        if let Some(place) = self.seqs.get_mut(self.count % MOST) {
            *place = seq;
            self.count += 1;
        }
    }

    /// Takes in that a segment with this sequence number is sent again.
    pub(crate) fn resend(&mut self, seq: u32) {
        let known = self.seqs.get(..self.count.min(MOST)).unwrap_or_default();
        self.resent += u64::from(known.contains(&seq));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_and_comes_again_is_counted() {
        let mut drops = RetransmittedDrops::default();
        drops.resend(0);
        assert_eq!(drops.resent, 0);
        for seq in 100..100 + 2 * u32::try_from(MOST).unwrap_or(0) {
            drops.add(seq);
        }
        // The first half is forgotten.
        for (seq, resent) in [(100, 0), (131, 1), (116, 2), (131, 3), (132, 3)] {
            drops.resend(seq);
            assert_eq!(drops.resent, resent, "{seq}");
        }
    }
}
