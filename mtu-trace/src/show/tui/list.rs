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
    pub len: usize,
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

impl<K: PartialEq> List<K> {
    /// Takes in the entries as they are now.
    pub fn settle(&mut self, len: usize, key: impl Fn(usize) -> Option<K>) {
        self.len = len;
        let Some(wanted) = &self.key else {
            self.selected = 0;
            return;
        };
        let is_wanted = |index: &usize| key(*index).as_ref() == Some(wanted);
        // It mostly is where it was.
        match [self.selected].into_iter().chain(0..len).find(is_wanted) {
            Some(index) => self.selected = index,
            // It is gone: what is in its place is next.
            None => self.select(self.selected, key),
        }
    }

    /// Moves by so many rows, as far as there are entries.
    pub fn go(&mut self, rows: isize, key: impl Fn(usize) -> Option<K>) {
        self.select(self.selected.saturating_add_signed(rows), key);
    }

    fn select(&mut self, index: usize, key: impl Fn(usize) -> Option<K>) {
        self.selected = index.min(self.len.saturating_sub(1));
        self.key = key(self.selected);
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
        let selected = [0, 9, 10, 50, 45, 40, 99];
        for (selected, offset) in selected.into_iter().zip([0, 0, 1, 41, 41, 40, 90]) {
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
