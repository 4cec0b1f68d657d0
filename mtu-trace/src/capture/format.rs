//! What the blocks of our own hold, and how it is encoded.

use cbor4ii::core::utils::SliceReader;
use serde::{Deserialize, Serialize};

use crate::{
    base::{printable::stored::printable, wall_clock::Clock},
    capture::{
        change::Change,
        misread::{Inner, Misread, Outer, Wrong, misread, no_row},
        row,
        row::Item as _,
        rows::{At, DeviceRow, Dropped, NameRow, PacketRow, Retransmitted, Tick},
        tables::Told,
    },
    model::{
        event::{Closed, Count, Event, EventKind, Retransmit, Sample, Socket},
        hook_status::HookStatus,
    },
};

/// The version of the format. It changes when old readers would misunderstand a new file; fields and
/// kinds of events are added without.
pub const FORMAT: u8 = 2;

/// Type of our blocks, of those for local use (draft-ietf-opsawg-pcapng, section 3.1): the bytes
/// `MTU` and 0x8d.
pub const BLOCK_TYPE: u32 = u32::from_le_bytes(*b"MTU\x8d");

/// What our blocks begin with, since others may use the same type: these bytes, then [`FORMAT`].
pub const MAGIC: [u8; 3] = *b"trc";

/// Code of the option of an enhanced packet block that has the rest of the event, of those for local
/// use (section 3.5). One event may fill several, which belong together in their order.
pub const OPTION_CODE: u16 = 0x8d54;

/// What stands first in each section: how the trace came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the tool that wrote it.
    #[serde(deserialize_with = "printable")]
    pub tool_version: String,
    /// Host name.
    #[serde(deserialize_with = "printable")]
    pub hostname: String,
    /// Kernel release.
    #[serde(deserialize_with = "printable")]
    pub kernel: String,
    /// Machine, such as `x86_64`.
    #[serde(deserialize_with = "printable")]
    pub machine: String,
    /// A moment of the wall clock, and the same one of the events' clock.
    pub clock: Clock,
    /// What tells this recording from others, so that its parts can be put together.
    pub recording: u64,
    /// Which part of it this is, from 1 on.
    pub part: u32,
    /// When the part begins, ns of `CLOCK_MONOTONIC`.
    pub began_ns: u64,
    /// What became of each hook at the start.
    pub hooks: Vec<HookStatus>,
}

/// What stands last in a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// When, ns of `CLOCK_MONOTONIC`.
    pub ended_ns: u64,
    /// What became of each hook by then.
    pub hooks: Vec<HookStatus>,
    /// Events in this part, ticks and all.
    pub events: u64,
    /// Whether another part follows.
    pub continued: bool,
}

/// What blocks of ours are called that hold a row.
pub mod name {
    /// Time goes on.
    pub const TICK: &str = "tick";
    /// A socket.
    pub const CONNECTION: &str = "connection";
    /// A segment sent again.
    pub const RETRANSMIT: &str = "retransmit";
    /// How a socket stands.
    pub const SAMPLE: &str = "sample";
    /// The end of a socket.
    pub const CLOSED: &str = "closed";
    /// An exact count of packets freed.
    pub const DROPPED: &str = "dropped";
    /// An exact count of segments sent again.
    pub const RETRANSMITTED: &str = "retransmitted";
    /// A name that has a number from now on.
    pub const NAME: &str = "name";
    /// A device that has a number from now on.
    pub const DEVICE: &str = "device";
    /// A packet, in its own block.
    pub const PACKET: &str = "packet";
}

/// What a block of ours holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// How it came about.
    Header(Box<Header>),
    /// Something that happened.
    Event(Event),
    /// Something that happened in an earlier part and still matters.
    Carried(Event),
    /// How the network differs from what it was before.
    Change(Box<Change>),
    /// The end of the part.
    End(Box<End>),
    /// A name that has a number from now on.
    #[serde(skip)]
    Name(NameRow),
    /// A device that has a number from now on.
    #[serde(skip)]
    Device(DeviceRow),
}

/// The same, to be written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemRef<'a> {
    /// How it came about.
    Header(&'a Header),
    /// Something that happened.
    Event(&'a Event),
    /// Something that happened in an earlier part and still matters.
    Carried(&'a Event),
    /// How the network differs from what it was before.
    Change(&'a Change),
    /// The end of the part.
    End(&'a End),
}

/// Adds a value's encoding to `to`.
///
/// # Errors
///
/// If there is no memory.
pub fn encode<T: Serialize>(to: Vec<u8>, value: &T) -> std::io::Result<Vec<u8>> {
    cbor4ii::serde::to_vec(to, value).map_err(|error| std::io::Error::other(error.to_string()))
}

/// An item from a block's content. Behind it there may be the block's padding.
pub fn item(bytes: &[u8], told: &Told) -> Result<Item, Misread> {
    if let Some((name, mut from)) = row::name_of(bytes)
        && let Some(taken) = in_row(name, &mut from, told)
    {
        return taken.map_err(|error| no_row(bytes, name, error));
    }
    cbor4ii::serde::from_slice(bytes).map_err(|error| misread::<Outer>(bytes, &error))
}

/// An item that is a row; `None` if things with that name are none.
fn in_row(name: &str, from: &mut SliceReader<'_>, told: &Told) -> Option<Result<Item, Wrong>> {
    let taken = match name {
        name::TICK => Tick::take(from).map(|it| (it.0, EventKind::Tick)),
        name::CONNECTION => At::<Socket>::take(from).map(|it| (it.0, EventKind::Connection(it.1))),
        name::RETRANSMIT => {
            At::<Retransmit>::take(from).map(|it| (it.0, EventKind::Retransmit(Box::new(it.1))))
        }
        name::SAMPLE => At::<Sample>::take(from).map(|it| (it.0, EventKind::Sample(it.1))),
        name::CLOSED => At::<Closed>::take(from).map(|it| (it.0, EventKind::Closed(it.1))),
        name::DROPPED => match At::<Dropped>::take(from) {
            Ok(At(time_ns, row)) => match row.count(told) {
                Ok(count) => Ok((time_ns, EventKind::Count(count))),
                Err(error) => return Some(Err(error.into())),
            },
            Err(error) => Err(error),
        },
        name::RETRANSMITTED => {
            At::<Retransmitted>::take(from).map(|it| (it.0, EventKind::Count(Count::from(it.1))))
        }
        name::NAME => return Some(NameRow::take(from).map(Item::Name).map_err(Wrong::from)),
        name::DEVICE => return Some(DeviceRow::take(from).map(Item::Device).map_err(Wrong::from)),
        _ => return None,
    };
    let event = taken.map(|(time_ns, kind)| Item::Event(Event { time_ns, kind }));
    Some(event.map_err(Wrong::from))
}

/// An event from the option of a packet.
pub fn event(bytes: &[u8], told: &Told) -> Result<Event, Misread> {
    if !row::is_row(bytes) {
        // Version 1 has it with names.
        return cbor4ii::serde::from_slice(bytes).map_err(|error| misread::<Inner>(bytes, &error));
    }
    let taken = At::<PacketRow>::take(&mut SliceReader::new(bytes)).map_err(Wrong::from);
    let packet = taken.and_then(|At(time_ns, row)| {
        let kind = EventKind::Packet(Box::new(row.packet(told)?));
        Ok(Event { time_ns, kind })
    });
    packet.map_err(|error| no_row(bytes, name::PACKET, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventKind;

    fn encoded(value: &impl Serialize) -> Vec<u8> {
        encode(Vec::new(), value).unwrap()
    }

    #[test]
    fn items_come_back() {
        let event = Event {
            time_ns: u64::MAX,
            kind: EventKind::Lost(3),
        };
        let mut bytes = encoded(&ItemRef::Event(&event));
        bytes.extend([0, 0, 0]);
        match item(&bytes, &Told::default()) {
            Ok(Item::Event(read)) => assert_eq!(read, event),
            other => panic!("{other:?}"),
        }
    }

    #[derive(Serialize)]
    struct NewEvent {
        time_ns: u64,
        mood: &'static str,
        kind: NewKind,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum NewKind {
        Tick,
        Yawn,
        Sneeze { loud: bool },
    }

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum NewItem {
        Event(NewEvent),
        Poem(&'static str),
    }

    fn new_event(kind: NewKind) -> NewEvent {
        NewEvent {
            time_ns: 1,
            mood: "calm",
            kind,
        }
    }

    #[test]
    fn new_fields_are_left_out_and_new_kinds_are_named() {
        assert!(matches!(
            item(
                &encoded(&NewItem::Event(new_event(NewKind::Tick))),
                &Told::default()
            ),
            Ok(Item::Event(Event {
                kind: EventKind::Tick,
                ..
            }))
        ));
        let unknown = |bytes: &[u8]| match item(bytes, &Told::default()) {
            Err(Misread::Unknown(name)) => name,
            other => panic!("{other:?}"),
        };
        let yawn = new_event(NewKind::Yawn);
        assert_eq!(
            event(&encoded(&yawn), &Told::default()),
            Err(Misread::Unknown("yawn".to_owned()))
        );
        assert_eq!(unknown(&encoded(&NewItem::Event(yawn))), "yawn");
        let sneeze = NewItem::Event(new_event(NewKind::Sneeze { loud: true }));
        assert_eq!(unknown(&encoded(&sneeze)), "sneeze");
        assert_eq!(unknown(&encoded(&NewItem::Poem("o"))), "poem");
    }

    #[test]
    fn what_ends_early_is_malformed_wherever_it_ends() {
        let bytes = encoded(&NewItem::Event(new_event(NewKind::Sneeze { loud: true })));
        for end in 0..bytes.len() {
            assert!(
                matches!(
                    item(&bytes[..end], &Told::default()),
                    Err(Misread::Malformed(_))
                ),
                "{end}"
            );
        }
    }

    #[test]
    fn hostile_lengths_and_depths_are_malformed() {
        // An array, a map and a string of 2^62 elements; arrays in arrays.
        for start in [0x9b, 0xbb, 0x7b, 0x5b] {
            let bytes = [&[start, 0x40, 0, 0, 0, 0, 0, 0, 0][..], &[0xa1; 40]].concat();
            assert!(matches!(
                item(&bytes, &Told::default()),
                Err(Misread::Malformed(_))
            ));
        }
        assert!(matches!(
            item(&[0x81; 100_000], &Told::default()),
            Err(Misread::Malformed(_))
        ));
        assert!(matches!(
            item(&[0xa1; 100_000], &Told::default()),
            Err(Misread::Malformed(_))
        ));
    }
}
