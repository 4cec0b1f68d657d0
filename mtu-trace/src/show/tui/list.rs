//! A list one moves through, whose entries come and go meanwhile.

/// Which entry is selected, and which is the first on the screen.
#[derive(Clone, Debug)]
pub struct List<K> {
    /// Number of the selected entry.
    pub selected: usize,
    /// Number of the first entry on the screen.
    pub offset: usize,
    /// What is selected, once the user has moved: the selection then stays with it. Before, it is the
    /// first entry, whatever that is.
    key: Option<K>,
    /// Number of entries in it.
    len: usize,
    /// Entries on the screen, as they were drawn last.
    pub page: usize,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self {
            selected: 0,
            offset: 0,
            key: None,
            len: 0,
            page: 1,
        }
    }
}

impl<K: Clone + PartialEq> List<K> {
    /// Takes in the entries as they are now.
    pub fn settle(&mut self, len: usize, key: impl Fn(usize) -> Option<K>) {
        self.len = len;
        let Some(wanted) = &self.key else {
            self.selected = 0;
            return;
        };
        let last = len.saturating_sub(1);
        if key(self.selected).as_ref() == Some(wanted) {
            return;
        }
        match (0..len).find(|&index| key(index).as_ref() == Some(wanted)) {
            Some(index) => self.selected = index,
            // It is gone: what is in its place is next.
            None => {
                self.selected = self.selected.min(last);
                self.key = key(self.selected);
            }
        }
    }

    /// Selects an entry, or the nearest there is.
    pub fn select(&mut self, index: usize, key: impl Fn(usize) -> Option<K>) {
        self.selected = index.min(self.len.saturating_sub(1));
        self.key = key(self.selected);
    }

    /// The number of the entry so many rows away.
    #[must_use]
    pub fn away(&self, rows: isize) -> usize {
        self.selected.saturating_add_signed(rows)
    }

    /// Moves the window so that the selected entry is in it, where `height` rows are free and
    /// `rows(index)` are taken by each.
    pub fn scroll(&mut self, height: usize, rows: impl Fn(usize) -> usize) {
        self.offset = self.offset.min(self.selected);
        let mut taken = rows(self.selected);
        let mut first = self.selected;
        while first > self.offset && taken + rows(first - 1) <= height {
            first -= 1;
            taken += rows(first);
        }
        // Rows that would stay free at the end are used.
        let mut behind = self.selected + 1;
        let mut below = 0;
        while behind < self.len && taken + below < height {
            below += rows(behind);
            behind += 1;
        }
        while first > 0 && taken + below + rows(first - 1) <= height {
            first -= 1;
            taken += rows(first);
        }
        self.offset = first;
    }

    /// The number of entries in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(list: &mut List<char>, entries: &str) {
        let entries: Vec<char> = entries.chars().collect();
        list.settle(entries.len(), |index| entries.get(index).copied());
    }

    #[test]
    fn it_stays_on_top_until_the_user_moves() {
        let mut list = List::default();
        settle(&mut list, "bc");
        settle(&mut list, "abc");
        assert_eq!(list.selected, 0);
        list.select(1, |index| "abc".chars().nth(index));
        settle(&mut list, "xyabc");
        assert_eq!(list.selected, 3);
    }

    #[test]
    fn what_follows_takes_the_place_of_what_is_gone() {
        let mut list = List::default();
        settle(&mut list, "abc");
        list.select(2, |index| "abc".chars().nth(index));
        settle(&mut list, "ab");
        assert_eq!(list.selected, 1);
        settle(&mut list, "ba");
        assert_eq!(list.selected, 0);
        settle(&mut list, "");
        assert_eq!(list.selected, 0);
    }

    #[test]
    fn the_selected_entry_is_in_the_window() {
        let mut list: List<usize> = List::default();
        list.settle(100, Some);
        for (selected, offset) in [
            (0, 0),
            (9, 0),
            (10, 1),
            (50, 41),
            (45, 41),
            (40, 40),
            (99, 90),
        ] {
            list.select(selected, Some);
            list.scroll(10, |_| 1);
            assert_eq!(list.offset, offset, "{selected}");
        }
        list.select(20, Some);
        list.scroll(10, |index| if index == 20 { 8 } else { 1 });
        assert_eq!(list.offset, 20);
        list.settle(3, |index| (index < 3).then_some(index));
        list.scroll(10, |_| 1);
        assert_eq!(list.offset, 0);
    }
}
