//! Names and devices that are told once in a section and have a number from then on.
//!
//! A table holds only so much. Where it is full it begins anew, with number 0, so that neither side
//! needs more memory for a longer recording.

use std::{hash::Hash, sync::Arc};

use foldhash::{HashMap, HashMapExt as _};

use crate::{
    capture::rows::{DeviceRow, NameRow},
    model::event::{Device, Name, Packet, PacketKind},
};

/// Entries of a table at most.
const MOST_ENTRIES: usize = 65_536;
/// Bytes of text in a table at most.
const MOST_TEXT_BYTES: usize = 16 << 20;

/// What is wrong with an entry, or with what speaks of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// Something speaks of it, and it was not told.
    #[error("an event speaks of {what} {number}, which was not told")]
    Untold {
        /// What it should be.
        what: &'static str,
        /// Its number.
        number: u32,
    },
    /// It is not the next one.
    #[error("{what} {number} is told where {next} comes next")]
    OutOfOrder {
        /// What it is.
        what: &'static str,
        /// Its number.
        number: u32,
        /// What comes next, besides 0.
        next: usize,
    },
    /// There are too many.
    #[error(
        "a {what} is told beyond the {MOST_ENTRIES} there may be, or beyond {MOST_TEXT_BYTES} bytes \
         of text"
    )]
    TooMany {
        /// What it is.
        what: &'static str,
    },
}

/// The numbers of what a writer has told.
#[derive(Debug, Default)]
pub struct Numbers {
    names: Numbered<Name>,
    devices: Numbered<Device>,
}

impl Numbers {
    /// Begins a table anew in which there may not be room for all that an event speaks of: of each
    /// kind, so many entries with so many bytes of text.
    pub fn make_room(&mut self, entries: usize, text_bytes: usize) {
        self.names.make_room(entries, text_bytes);
        self.devices.make_room(entries, text_bytes);
    }

    /// A name's number, and whether it is new.
    pub fn name(&mut self, name: &Name) -> (u32, bool) {
        self.names.number(name, name.len())
    }

    /// A device's number, and whether it is new.
    pub fn device(&mut self, device: &Device) -> (u32, bool) {
        self.devices.number(device, text_bytes(device))
    }
}

/// How many names and devices a packet speaks of, and how many bytes of text they have.
pub fn spoken_of(packet: &Packet) -> (usize, usize) {
    let others = [&packet.route, &packet.peer, &packet.came_in];
    let others = others.into_iter().flatten();
    let devices = std::iter::once(&packet.device).chain(others);
    let (function, reason) = match &packet.what {
        PacketKind::Dropped { function, reason } => (Some(function), reason.as_ref()),
        _ => (None, None),
    };
    let names = [function, reason, packet.route_input.as_ref()];
    let names = names.into_iter().flatten().map(Name::len);
    let (mut entries, mut bytes) = (0, 0);
    for text_bytes in devices.map(text_bytes).chain(names) {
        entries += 1;
        bytes += text_bytes;
    }
    (entries, bytes)
}

fn text_bytes(device: &Device) -> usize {
    device.name.as_ref().map_or(0, Name::len)
}

#[derive(Debug)]
struct Numbered<T> {
    numbers: HashMap<T, u32>,
    text_bytes: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            text_bytes: 0,
        }
    }
}

impl<T: Hash + Eq + Clone> Numbered<T> {
    fn make_room(&mut self, entries: usize, text_bytes: usize) {
        let enough = self.numbers.len() + entries <= MOST_ENTRIES
            && self.text_bytes + text_bytes <= MOST_TEXT_BYTES;
        if !enough {
            *self = Self::default();
        }
    }

    fn number(&mut self, entry: &T, text_bytes: usize) -> (u32, bool) {
        if let Some(number) = self.numbers.get(entry) {
            return (*number, false);
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(entry.clone(), number);
        self.text_bytes += text_bytes;
        (number, true)
    }
}

/// What a reader was told. A copy shares it until one of them is told more.
#[derive(Clone, Debug, Default)]
pub struct Told {
    names: Table<Name>,
    devices: Table<Device>,
}

impl Told {
    /// Takes in a name.
    ///
    /// # Errors
    ///
    /// If it is not the next one, or there are too many.
    pub fn learn_name(&mut self, row: NameRow) -> Result<(), BadEntry> {
        let text_bytes = row.name.len();
        self.names.learn("name", row.number, row.name, text_bytes)
    }

    /// Takes in a device.
    ///
    /// # Errors
    ///
    /// If it is not the next one, or there are too many.
    pub fn learn_device(&mut self, row: DeviceRow) -> Result<(), BadEntry> {
        let device = Device {
            netns: row.netns,
            ifindex: row.ifindex,
            name: row.name,
            mtu_bytes: row.mtu_bytes,
        };
        let text_bytes = text_bytes(&device);
        let devices = &mut self.devices;
        devices.learn("device", row.number, device, text_bytes)
    }

    /// The name with a number.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn name(&self, number: u32) -> Result<&Name, BadEntry> {
        self.names.get("name", number)
    }

    /// The device with a number.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn device(&self, number: u32) -> Result<&Device, BadEntry> {
        self.devices.get("device", number)
    }
}

#[derive(Clone, Debug)]
struct Table<T> {
    entries: Arc<Vec<T>>,
    text_bytes: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            text_bytes: 0,
        }
    }
}

impl<T: Clone> Table<T> {
    fn learn(
        &mut self,
        what: &'static str,
        number: u32,
        entry: T,
        text_bytes: usize,
    ) -> Result<(), BadEntry> {
        if number == 0 {
            *self = Self::default();
        }
        let next = self.entries.len();
        if number as usize != next {
            return Err(BadEntry::OutOfOrder { what, number, next });
        }
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        if next >= MOST_ENTRIES || self.text_bytes > MOST_TEXT_BYTES {
            return Err(BadEntry::TooMany { what });
        }
        Arc::make_mut(&mut self.entries).push(entry);
        Ok(())
    }

    fn get(&self, what: &'static str, number: u32) -> Result<&T, BadEntry> {
        self.entries
            .get(number as usize)
            .ok_or(BadEntry::Untold { what, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32, name: &str) -> NameRow {
        let name = name.into();
        NameRow { number, name }
    }

    #[test]
    fn a_reader_follows_a_writer_over_full_tables() {
        let (mut numbers, mut told) = (Numbers::default(), Told::default());
        let mut begun = 0;
        for nth in 0..MOST_ENTRIES * 5 / 2 {
            numbers.make_room(2, 100);
            // One that is new, and one that was told long ago.
            for text in [format!("f{nth}"), "ip_forward".to_owned()] {
                let text = Name::from(text);
                let (number, new) = numbers.name(&text);
                begun += usize::from(new && number == 0);
                if new {
                    told.learn_name(name(number, &text)).unwrap();
                }
                assert_eq!(told.name(number), Ok(&text));
            }
        }
        assert_eq!(begun, 3);
    }

    #[test]
    fn long_names_fill_a_table_sooner() {
        let mut numbers = Numbers::default();
        let long = "f".repeat(MOST_TEXT_BYTES / 2);
        let (mut told, mut next) = (Told::default(), 0);
        for letter in ["a", "b", "c"] {
            let text = Name::from(format!("{letter}{}", &long[2..]));
            numbers.make_room(1, text.len());
            let (number, new) = numbers.name(&text);
            assert_eq!((number, new), (next % 2, true));
            told.learn_name(name(number, &text)).unwrap();
            next += 1;
        }
        let more = Name::from(long);
        told.learn_name(name(1, &more)).unwrap();
        let too_many = told.learn_name(name(2, &more));
        assert_eq!(too_many, Err(BadEntry::TooMany { what: "name" }));
    }

    #[test]
    fn numbers_that_lie_are_refused() {
        let mut told = Told::default();
        let untold = |number| BadEntry::Untold {
            what: "name",
            number,
        };
        assert_eq!(told.name(0), Err(untold(0)));
        assert!(told.learn_name(name(1, "b")).is_err());
        assert!(told.learn_name(name(u32::MAX, "b")).is_err());
        told.learn_name(name(0, "a")).unwrap();
        told.learn_name(name(1, "b")).unwrap();
        assert!(told.learn_name(name(1, "c")).is_err());
        assert_eq!(told.name(u32::MAX), Err(untold(u32::MAX)));
        told.learn_name(name(0, "c")).unwrap();
        assert_eq!(told.name(1), Err(untold(1)));
        assert_eq!(told.name(0).unwrap(), "c");
        for number in 1..MOST_ENTRIES {
            told.learn_name(name(number as u32, "x")).unwrap();
        }
        let too_many = told.learn_name(name(MOST_ENTRIES as u32, "x"));
        assert_eq!(too_many, Err(BadEntry::TooMany { what: "name" }));
    }
}
