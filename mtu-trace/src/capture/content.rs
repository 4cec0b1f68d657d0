//! What the blocks of our own hold, by their keys.

use crate::base::text::stored::clean;
use crate::capture::change::Change;
use crate::capture::dictionary::{Dictionary, Entry};
use crate::capture::format::{FORMAT, PartEnd, PartHeader};
use crate::capture::row::{self, Field, FieldError, RowReader, Taken};
use crate::capture::rows;
use crate::model::event::{Count, Device, Event, EventKind, Name};

/// The key of a block with the recording's [`PartHeader`].
pub const HEADER: &str = "header";
/// The key of a block with the part's [`PartEnd`].
pub const END: &str = "end";
/// The key of a block with a [`Change`] of the network.
pub const CHANGE: &str = "change";
/// The key of a block with an event that is told again.
pub const CARRIED: &str = "carried";

/// The last version of the format that has keys of its own beside those of [`FORMAT`].
const LAST_OLDER: u8 = 2;

/// What a block of ours holds.
#[derive(Debug)]
pub enum BlockContent {
    Header(Box<PartHeader>),
    /// Something that happened in this part.
    Event(Event),
    /// Something that happened in an earlier part and still matters.
    Carried(Event),
    Change(Box<Change>),
    End(Box<PartEnd>),
    /// A name that has a number from now on.
    Name(u32, Name),
    /// A device that has a number from now on.
    Device(u32, Device),
}

/// Why a block's content cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misread {
    /// It is well-formed, but this version does not know its kind or what it holds.
    Unknown(String),
    /// It is no CBOR, ends too early, or speaks of what was not told.
    Malformed(String),
}

/// Reads the content of a block with the given version. Behind it there may be the block's padding.
pub fn read(version: u8, bytes: &[u8], dictionary: &Dictionary) -> Result<BlockContent, Misread> {
    if version > FORMAT {
        return Err(Misread::Unknown(format!("format {version}")));
    }
    let mut from = RowReader::new(bytes, dictionary);
    let Some(key) = from.key() else {
        return Err(Misread::Malformed("it is no map with one key".to_owned()));
    };
    take(version, key, &mut from).map_err(|error| misread(bytes, key, error))
}

#[inline]
fn take(version: u8, key: &str, from: &mut RowReader<'_, '_>) -> Taken<BlockContent> {
    if let Some(event) = rows::take_event(key, from) {
        return event.map(BlockContent::Event);
    }
    if version <= LAST_OLDER
        && let Some(content) = take_older(key, from)
    {
        return content;
    }
    match key {
        Name::KIND => entry(from).map(|(number, name)| BlockContent::Name(number, name)),
        Device::KIND => entry(from).map(|(number, device)| BlockContent::Device(number, device)),
        HEADER => from.structure().map(BlockContent::Header),
        END => from.structure().map(BlockContent::End),
        CHANGE => from.structure().map(BlockContent::Change),
        CARRIED => {
            let event = from.key().and_then(|key| rows::take_event(key, from));
            event.ok_or(FieldError::Unfit)?.map(BlockContent::Carried)
        }
        _ => Err(FieldError::Unfit),
    }
}

/// Reads what a key means in versions 1 and 2 alone; `None` if it means what it does now. Both have
/// structures with their fields' names for events without a row, which in version 1 are all; version 2
/// has a key for each kind of count.
fn take_older(key: &str, from: &mut RowReader<'_, '_>) -> Option<Taken<BlockContent>> {
    Some(match key {
        "event" => from.structure().map(BlockContent::Event),
        CARRIED => from.structure().map(BlockContent::Carried),
        "dropped" => older_count(0, from),
        "retransmitted" => older_count(1, from),
        _ => return None,
    })
}

fn older_count(choice: u8, from: &mut RowReader<'_, '_>) -> Taken<BlockContent> {
    from.row(|from| {
        let time_ns = u64::take(from)?;
        let kind = EventKind::Count(from.row(|from| Count::take_chosen(choice, from))?);
        Ok(BlockContent::Event(Event { time_ns, kind }))
    })
}

fn entry<T: Entry>(from: &mut RowReader<'_, '_>) -> Taken<(u32, T)> {
    from.row(|from| Ok((u32::take(from)?, T::take_fields(from)?)))
}

/// Reads the event of a packet, without the packet's bytes. In version 1 it is a structure.
pub fn packet(bytes: &[u8], dictionary: &Dictionary) -> Result<Event, Misread> {
    let mut from = RowReader::new(bytes, dictionary);
    let event = if row::is_map(bytes) {
        from.structure()
    } else {
        rows::take_event(rows::PACKET, &mut from).unwrap_or(Err(FieldError::Unfit))
    };
    event.map_err(|error| misread(bytes, rows::PACKET, error))
}

/// What is whole and cannot be read may be from a version that has something else there.
fn misread(bytes: &[u8], key: &str, error: FieldError) -> Misread {
    let what = match error {
        FieldError::Entry(error) => return Misread::Malformed(error.to_string()),
        _ if row::is_whole(bytes) => return Misread::Unknown(clean(key.to_owned())),
        FieldError::Unfit => format!("a {key} that ends too early"),
        error => error.to_string(),
    };
    Misread::Malformed(clean(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::dictionary::Numbers;
    use crate::capture::row::{Put, RowWriter, written};
    use crate::model::event::EventKind;

    fn encoded(write: impl Fn(&mut RowWriter<'_>) -> Put) -> Vec<u8> {
        written(&mut Numbers::default(), Vec::new, write).unwrap().0
    }

    fn read(bytes: &[u8]) -> Result<BlockContent, Misread> {
        super::read(FORMAT, bytes, &Dictionary::default())
    }

    fn lost(to: &mut RowWriter<'_>) -> Put {
        let event = Event {
            time_ns: u64::MAX,
            kind: EventKind::Lost(3),
        };
        to.key(rows::kind_name(&event.kind))?;
        rows::put_event(&event, to)
    }

    #[test]
    fn events_come_back() {
        let mut bytes = encoded(lost);
        bytes.extend([0, 0, 0]);
        let Ok(BlockContent::Event(event)) = read(&bytes) else {
            panic!("{:?}", read(&bytes));
        };
        assert_eq!((event.time_ns, event.kind), (u64::MAX, EventKind::Lost(3)));
    }

    #[test]
    fn new_places_are_skipped_and_new_kinds_are_named() {
        let longer = encoded(|to| {
            to.key("tick")?;
            to.row(2)?;
            7u8.put(to)?;
            lost(to)
        });
        let Ok(BlockContent::Event(event)) = read(&longer) else {
            panic!("{:?}", read(&longer));
        };
        assert_eq!((event.time_ns, event.kind), (7, EventKind::Tick));
        let sneeze = encoded(|to| {
            to.key("sneeze")?;
            lost(to)
        });
        let unknown = |name: &str| Misread::Unknown(name.to_owned());
        assert_eq!(read(&sneeze).unwrap_err(), unknown("sneeze"));
        let carried = encoded(|to| {
            to.key(CARRIED)?;
            to.structure("sneeze")
        });
        assert_eq!(read(&carried).unwrap_err(), unknown("carried"));
        for end in 0..sneeze.len() {
            let read = read(&sneeze[..end]);
            assert!(
                matches!(read, Err(Misread::Malformed(_))),
                "{end}: {read:?}"
            );
        }
    }

    #[test]
    fn hostile_lengths_and_depths_are_malformed() {
        // An array, a map and a string of 2^62 elements; arrays in arrays.
        let long = [0x9b, 0xbb, 0x7b, 0x5b]
            .map(|start| [&[start, 0x40, 0, 0, 0, 0, 0, 0, 0][..], &[0xa1; 40]].concat());
        let deep = [0x81, 0xa1].map(|start| vec![start; 100_000]);
        for bytes in long.into_iter().chain(deep) {
            assert!(matches!(read(&bytes), Err(Misread::Malformed(_))));
        }
    }
}
