//! The dictionary of a section: names and devices are told once and have a number from then on.
//!
//! A dictionary holds only so much. Where it is full it begins anew, with number 0, so that neither
//! side needs more memory for a longer recording.

use std::hash::Hash;
use std::sync::Arc;

use foldhash::HashMap;

use crate::capture::row::Row;
use crate::model::event::{Device, Name};

/// The most entries of one kind. A choice: all devices and functions of a large host, and a bound for
/// what a hostile file can make a reader keep.
const MAX_ENTRIES: usize = 65_536;
/// The most bytes of text in the entries of one kind. A choice, as [`MAX_ENTRIES`].
const MAX_TEXT_BYTES: usize = 16 << 20;

/// What is wrong with an entry, or with what speaks of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// An event speaks of a number that no entry has.
    #[error("an event speaks of {kind} {number}, which was not told")]
    Untold {
        /// The kind of entry that is spoken of.
        kind: &'static str,
        /// The number that no entry has.
        number: u32,
    },
    /// An entry has another number than the next one.
    #[error("{kind} {number} is told where {next} comes next")]
    OutOfOrder {
        /// The kind of the entry.
        kind: &'static str,
        /// The number that the entry has.
        number: u32,
        /// The number that comes next, besides 0.
        next: usize,
    },
    /// There are more entries than a dictionary holds.
    #[error(
        "a {kind} is told beyond the {MAX_ENTRIES} there may be, or beyond {MAX_TEXT_BYTES} bytes \
         of text"
    )]
    TooMany {
        /// The kind of the entry.
        kind: &'static str,
    },
}

/// What has a number in a dictionary.
pub trait Entry: Row + Clone + Eq + Hash {
    /// The key of the blocks that tell these entries, and their name in messages.
    const KIND: &'static str;
    /// The length of the entry's text, bytes.
    fn text_bytes(&self) -> usize;
    /// The numbers that a writer has given to these entries.
    fn numbers(of: &mut Numbers) -> &mut Numbered<Self>;
    /// The entries of this kind that a reader was told.
    fn entries(of: &Dictionary) -> &Entries<Self>;
    /// The entries of this kind, to be added to.
    fn entries_mut(of: &mut Dictionary) -> &mut Entries<Self>;
}

impl Entry for Name {
    const KIND: &'static str = "name";

    fn text_bytes(&self) -> usize {
        self.len()
    }

    fn numbers(of: &mut Numbers) -> &mut Numbered<Self> {
        &mut of.names
    }

    fn entries(of: &Dictionary) -> &Entries<Self> {
        &of.names
    }

    fn entries_mut(of: &mut Dictionary) -> &mut Entries<Self> {
        &mut of.names
    }
}

impl Entry for Device {
    const KIND: &'static str = "device";

    fn text_bytes(&self) -> usize {
        self.name.as_ref().map_or(0, Name::len)
    }

    fn numbers(of: &mut Numbers) -> &mut Numbered<Self> {
        &mut of.devices
    }

    fn entries(of: &Dictionary) -> &Entries<Self> {
        &of.devices
    }

    fn entries_mut(of: &mut Dictionary) -> &mut Entries<Self> {
        &mut of.devices
    }
}

/// The dictionary as a writer has told it.
#[derive(Debug, Default)]
pub struct Numbers {
    names: Numbered<Name>,
    devices: Numbered<Device>,
}

impl Numbers {
    /// Whether more was told than a reader keeps: the event that did it must begin a new dictionary.
    pub fn is_overfull(&self) -> bool {
        self.names.is_overfull() || self.devices.is_overfull()
    }
}

/// The numbers of entries of one kind, in the order in which they came.
#[derive(Debug)]
pub struct Numbered<T> {
    numbers: HashMap<T, u32>,
    text_bytes: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::default(),
            text_bytes: 0,
        }
    }
}

impl<T: Entry> Numbered<T> {
    /// An entry's number, and whether the entry is new.
    pub fn number(&mut self, entry: &T) -> (u32, bool) {
        if let Some(number) = self.numbers.get(entry) {
            return (*number, false);
        }
        let number = self.count();
        self.numbers.insert(entry.clone(), number);
        self.text_bytes += entry.text_bytes();
        (number, true)
    }

    /// The count of entries that have a number.
    pub fn count(&self) -> u32 {
        u32::try_from(self.numbers.len()).unwrap_or(u32::MAX)
    }

    fn is_overfull(&self) -> bool {
        self.numbers.len() > MAX_ENTRIES || self.text_bytes > MAX_TEXT_BYTES
    }
}

/// The dictionary as a reader was told it. A copy shares it until one of them is told more.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    names: Entries<Name>,
    devices: Entries<Device>,
}

impl Dictionary {
    /// Takes in an entry.
    ///
    /// # Errors
    ///
    /// If its number is not the next one, or there are too many.
    pub fn learn<T: Entry>(&mut self, number: u32, entry: T) -> Result<(), EntryError> {
        let entries = T::entries_mut(self);
        if number == 0 {
            *entries = Entries::default();
        }
        let kind = T::KIND;
        let next = entries.all.len();
        if number as usize != next {
            return Err(EntryError::OutOfOrder { kind, number, next });
        }
        entries.text_bytes += entry.text_bytes();
        if next >= MAX_ENTRIES || entries.text_bytes > MAX_TEXT_BYTES {
            return Err(EntryError::TooMany { kind });
        }
        Arc::make_mut(&mut entries.all).push(entry);
        Ok(())
    }

    /// The entry that has a number.
    ///
    /// # Errors
    ///
    /// If it was not told.
    pub fn entry<T: Entry>(&self, number: u32) -> Result<&T, EntryError> {
        let kind = T::KIND;
        let entry = T::entries(self).all.get(number as usize);
        entry.ok_or(EntryError::Untold { kind, number })
    }
}

/// The entries of one kind, by number.
#[derive(Clone, Debug)]
pub struct Entries<T> {
    all: Arc<Vec<T>>,
    text_bytes: usize,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self {
            all: Arc::default(),
            text_bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::content::BlockContent;
    use crate::capture::{content, row};

    /// Writes a name as an event does, takes in what is told of it, and gives its number.
    fn told(numbers: &mut Numbers, dictionary: &mut Dictionary, name: &Name) -> u32 {
        let (number, told) = row::written(numbers, Vec::new, |to| to.entry(name)).unwrap();
        for bytes in told {
            // Magic and version stand before it.
            match content::read(3, &bytes[4..], dictionary) {
                Ok(BlockContent::Name(number, name)) => dictionary.learn(number, name).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(number.first().map(|byte| byte >> 5), Some(0));
        Name::numbers(numbers).number(name).0
    }

    #[test]
    fn a_reader_follows_a_writer_over_full_dictionaries() {
        let (mut numbers, mut dictionary) = (Numbers::default(), Dictionary::default());
        let mut begun = 0;
        for nth in 0..MAX_ENTRIES * 5 / 2 {
            // One that is new, and one that was told long ago.
            for text in [format!("f{nth}"), "ip_forward".to_owned()] {
                let name = Name::from(text);
                let number = told(&mut numbers, &mut dictionary, &name);
                begun += usize::from(number == 0);
                assert_eq!(dictionary.entry::<Name>(number), Ok(&name));
            }
        }
        assert_eq!(begun, 3);
    }

    #[test]
    fn long_names_fill_a_dictionary_sooner() {
        let (mut numbers, mut dictionary) = (Numbers::default(), Dictionary::default());
        let long = "f".repeat(MAX_TEXT_BYTES / 2);
        for (letter, number) in [("a", 0), ("b", 1), ("c", 0)] {
            let name = Name::from(format!("{letter}{}", &long[2..]));
            assert_eq!(told(&mut numbers, &mut dictionary, &name), number);
        }
        let more = Name::from(long);
        dictionary.learn(1, more.clone()).unwrap();
        let too_many = dictionary.learn(2, more);
        assert_eq!(too_many, Err(EntryError::TooMany { kind: "name" }));
    }

    #[test]
    fn numbers_that_lie_are_refused() {
        let mut dictionary = Dictionary::default();
        let untold = |number| EntryError::Untold {
            kind: "name",
            number,
        };
        let name = Name::from;
        assert_eq!(dictionary.entry::<Name>(0), Err(untold(0)));
        assert!(dictionary.learn(1, name("b")).is_err());
        assert!(dictionary.learn(u32::MAX, name("b")).is_err());
        dictionary.learn(0, name("a")).unwrap();
        dictionary.learn(1, name("b")).unwrap();
        assert!(dictionary.learn(1, name("c")).is_err());
        assert_eq!(dictionary.entry::<Name>(u32::MAX), Err(untold(u32::MAX)));
        dictionary.learn(0, name("c")).unwrap();
        assert_eq!(dictionary.entry::<Name>(1), Err(untold(1)));
        assert_eq!(dictionary.entry::<Name>(0).unwrap(), "c");
        for number in 1..MAX_ENTRIES {
            dictionary.learn(number as u32, name("x")).unwrap();
        }
        let too_many = dictionary.learn(MAX_ENTRIES as u32, name("x"));
        assert_eq!(too_many, Err(EntryError::TooMany { kind: "name" }));
    }
}
