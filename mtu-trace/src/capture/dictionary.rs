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
    #[error("an event speaks of {kind} {number}, which was not told")]
    Untold { kind: &'static str, number: u32 },
    #[error("{kind} {number} is told where {next} comes next")]
    OutOfOrder {
        kind: &'static str,
        number: u32,
        next: usize,
    },
    #[error(
        "a {kind} is told beyond the {MAX_ENTRIES} there may be, or beyond {MAX_TEXT_BYTES} bytes \
         of text"
    )]
    TooMany { kind: &'static str },
}

/// What has a number in a dictionary.
pub trait Entry: Row + Clone + Eq + Hash {
    /// The key of the blocks that tell these entries, and their name in messages.
    const KIND: &'static str;
    fn text_bytes(&self) -> usize;
}

impl Entry for Name {
    const KIND: &'static str = "name";

    fn text_bytes(&self) -> usize {
        self.len()
    }
}

impl Entry for Device {
    const KIND: &'static str = "device";

    fn text_bytes(&self) -> usize {
        self.name.as_ref().map_or(0, Name::len)
    }
}

/// The dictionary as a writer has told it.
#[derive(Debug, Default)]
pub struct Numbers {
    pub names: Numbered<Name>,
    pub devices: Numbered<Device>,
}

impl Numbers {
    /// Whether more was told than a reader keeps: the event that did it must begin a new dictionary.
    pub fn is_overfull(&self) -> bool {
        self.names.is_overfull() || self.devices.is_overfull()
    }
}

/// The dictionary as a reader was told it. A copy shares it until one of them is told more.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    pub names: Told<Name>,
    pub devices: Told<Device>,
}

/// The entries of one kind.
#[derive(Clone, Debug, Default)]
pub struct Entries<C> {
    all: C,
    text_bytes: usize,
}

/// The numbers that a writer gives to entries, in the order in which they come.
pub type Numbered<T> = Entries<HashMap<T, u32>>;

/// The entries that a reader was told, by number.
pub type Told<T> = Entries<Arc<Vec<T>>>;

impl<T: Entry> Numbered<T> {
    /// An entry's number, and whether the entry is new.
    pub fn number(&mut self, entry: &T) -> (u32, bool) {
        if let Some(number) = self.all.get(entry) {
            return (*number, false);
        }
        let number = self.count();
        self.all.insert(entry.clone(), number);
        self.text_bytes += entry.text_bytes();
        (number, true)
    }

    pub fn count(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(u32::MAX)
    }

    fn is_overfull(&self) -> bool {
        self.all.len() > MAX_ENTRIES || self.text_bytes > MAX_TEXT_BYTES
    }
}

impl<T: Entry> Told<T> {
    /// Takes in an entry. It must have the next number, or 0, which begins anew.
    pub fn learn(&mut self, number: u32, entry: T) -> Result<(), EntryError> {
        if number == 0 {
            *self = Self::default();
        }
        let kind = T::KIND;
        let next = self.all.len();
        if number as usize != next {
            return Err(EntryError::OutOfOrder { kind, number, next });
        }
        self.text_bytes += entry.text_bytes();
        if next >= MAX_ENTRIES || self.text_bytes > MAX_TEXT_BYTES {
            return Err(EntryError::TooMany { kind });
        }
        Arc::make_mut(&mut self.all).push(entry);
        Ok(())
    }

    /// The entry that was told with this number.
    pub fn entry(&self, number: u32) -> Result<&T, EntryError> {
        let kind = T::KIND;
        let entry = self.all.get(number as usize);
        entry.ok_or(EntryError::Untold { kind, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::content::BlockContent;
    use crate::capture::row::Field as _;
    use crate::capture::{content, row};

    /// Writes a name as an event does, takes in what is told of it, and gives its number.
    fn told(numbers: &mut Numbers, dictionary: &mut Dictionary, name: &Name) -> u32 {
        let (number, told) = row::written(numbers, Vec::new, |to| name.put(to)).unwrap();
        if !told.is_empty() {
            // The block's type and length, magic and version stand before it.
            match content::read(3, &told[12..], dictionary) {
                Ok(BlockContent::Name(number, name)) => {
                    dictionary.names.learn(number, name).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(number.first().map(|byte| byte >> 5), Some(0));
        numbers.names.number(name).0
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
                assert_eq!(dictionary.names.entry(number), Ok(&name));
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
        dictionary.names.learn(1, more.clone()).unwrap();
        let too_many = dictionary.names.learn(2, more);
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
        assert_eq!(dictionary.names.entry(0), Err(untold(0)));
        assert!(dictionary.names.learn(1, name("b")).is_err());
        assert!(dictionary.names.learn(u32::MAX, name("b")).is_err());
        dictionary.names.learn(0, name("a")).unwrap();
        dictionary.names.learn(1, name("b")).unwrap();
        assert!(dictionary.names.learn(1, name("c")).is_err());
        assert_eq!(dictionary.names.entry(u32::MAX), Err(untold(u32::MAX)));
        dictionary.names.learn(0, name("c")).unwrap();
        assert_eq!(dictionary.names.entry(1), Err(untold(1)));
        assert_eq!(dictionary.names.entry(0).unwrap(), "c");
        for number in 1..MAX_ENTRIES {
            dictionary.names.learn(number as u32, name("x")).unwrap();
        }
        let too_many = dictionary.names.learn(MAX_ENTRIES as u32, name("x"));
        assert_eq!(too_many, Err(EntryError::TooMany { kind: "name" }));
    }
}
