//! How many entries the kernel's LRU maps have forgotten. They do not tell: what was put in and taken out is
//! counted, and more than fits for certain counts as forgotten.

/// How one of the maps stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct LruMap {
    /// How many entries fit for certain.
    bound: u64,
    /// How many were put in, and taken out, at the last look.
    inserted: u64,
    deleted: u64,
    evicted: u64,
}

impl LruMap {
    /// One that nothing was put in yet.
    pub fn new(bound: u64) -> Self {
        Self {
            bound,
            ..Self::default()
        }
    }

    /// How many entries were forgotten so far, of so many that were put in and taken out since the start.
    ///
    /// Never less than there were: nothing is forgotten while no more than `bound` entries are there, so at
    /// the last time something was, all that had been put in but was neither taken out nor forgotten was at
    /// least that many. It may be more than there were by what the kernel has room for beyond `bound`, and
    /// by what was taken out between two looks.
    pub fn look(&mut self, inserted: u64, deleted: u64) -> u64 {
        let most = inserted.saturating_sub(self.deleted);
        self.evicted = self.evicted.max(most.saturating_sub(self.bound));
        (self.inserted, self.deleted) = (inserted, deleted);
        self.evicted
    }

    /// The same for a map of what is of use between two looks only: what was forgotten before is no loss.
    pub fn look_at_recent(&mut self, inserted: u64) -> u64 {
        let recent = inserted.saturating_sub(self.inserted);
        self.evicted += recent.saturating_sub(self.bound);
        self.inserted = inserted;
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is put in and taken out, and whenever it is looked at: never too few, and too many by
        /// no more than what is said.
        #[test]
        fn what_is_told_is_near_what_was_forgotten(
            bound in 1..20_usize,
            spare in 0..8_usize,
            chunk in 1..8_usize,
            steps in prop::collection::vec((0..4_u8, any::<u8>()), 0..400),
        ) {
            let chunk = chunk.min(spare.max(1));
            // A map that forgets some in one go, when it is full.
            let mut map: VecDeque<u64> = VecDeque::new();
            let (mut inserted, mut deleted, mut evicted) = (0, 0, 0);
            let (mut told, mut since) = (0, 0);
            let mut lru = LruMap::new(bound as u64);
            for (step, which) in steps {
                match step {
                    0 | 1 => {
                        if map.len() == bound + spare {
                            for _ in 0..chunk {
                                map.pop_front();
                                evicted += 1;
                            }
                        }
                        map.push_back(inserted);
                        inserted += 1;
                    }
                    2 if !map.is_empty() => {
                        map.remove(usize::from(which) % map.len());
                        deleted += 1;
                        since += 1;
                    }
                    _ => {
                        let before = told;
                        told = lru.look(inserted, deleted);
                        prop_assert!(told >= evicted && told >= before);
                        prop_assert!(told <= evicted + spare as u64 + chunk as u64 + since, "{told} {evicted}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_old_is_no_loss_where_only_recent_ones_matter() {
        let mut lru = LruMap::new(10);
        let told = [8, 18, 40, 41].map(|inserted| lru.look_at_recent(inserted));
        assert_eq!(told, [0, 0, 12, 12]);
    }
}
