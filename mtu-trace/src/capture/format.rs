//! What the blocks of our own hold, and how it is encoded.

use serde::{
    Deserialize, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::change::Change;
use crate::{
    event::Event,
    kernel::HookStatus,
    report::Clock,
    topology::name::stored::{clean, printable},
};

/// The version of the format. It changes when old readers would misunderstand a new file; fields and
/// kinds of events are added without.
pub const FORMAT: u8 = 1;

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

/// Why bytes are no item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misread {
    /// They are well-formed, but of a kind or content that is not known here.
    Unknown(String),
    /// They are no CBOR, or end too early.
    Malformed(String),
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
pub fn item(bytes: &[u8]) -> Result<Item, Misread> {
    cbor4ii::serde::from_slice(bytes).map_err(|error| misread::<Outer>(bytes, &error))
}

/// An event from the option of a packet.
pub fn event(bytes: &[u8]) -> Result<Event, Misread> {
    cbor4ii::serde::from_slice(bytes).map_err(|error| misread::<Inner>(bytes, &error))
}

/// Whether something that cannot be taken is at least well-formed, and what it calls itself.
fn misread<'a, T: Named + Deserialize<'a>>(
    bytes: &'a [u8],
    error: &cbor4ii::serde::DecodeError<std::convert::Infallible>,
) -> Misread {
    match cbor4ii::serde::from_slice::<T>(bytes) {
        Ok(named) => Misread::Unknown(named.name()),
        Err(_) => Misread::Malformed(clean(error.to_string())),
    }
}

trait Named {
    fn name(self) -> String;
}

/// An item of which only names are read.
struct Outer(String, Option<Inner>);

impl Named for Outer {
    fn name(self) -> String {
        self.1.map_or(self.0, Named::name)
    }
}

impl<'de> Deserialize<'de> for Outer {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Item;
        impl<'de> Visitor<'de> for Item {
            type Value = Outer;
            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("a map with one key")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outer, A::Error> {
                let mut found = None;
                while let Some(key) = map.next_key::<String>()? {
                    let inner = if key == "event" || key == "carried" {
                        Some(map.next_value()?)
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        None
                    };
                    found.get_or_insert(Outer(clean(key), inner));
                }
                found.ok_or_else(|| serde::de::Error::custom("an empty map"))
            }
        }
        from.deserialize_map(Item)
    }
}

/// An event of which only its kind's name is read.
#[derive(Deserialize)]
struct Inner {
    kind: KindName,
}

impl Named for Inner {
    fn name(self) -> String {
        self.kind.0
    }
}

struct KindName(String);

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Kind;
        impl<'de> Visitor<'de> for Kind {
            type Value = KindName;
            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("a name, or a map with one key")
            }
            fn visit_str<E>(self, name: &str) -> Result<KindName, E> {
                Ok(KindName(clean(name.to_owned())))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KindName, A::Error> {
                let mut found = None;
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    found.get_or_insert(KindName(clean(key)));
                }
                found.ok_or_else(|| serde::de::Error::custom("an empty map"))
            }
        }
        from.deserialize_any(Kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;

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
        match item(&bytes) {
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
            item(&encoded(&NewItem::Event(new_event(NewKind::Tick)))),
            Ok(Item::Event(Event {
                kind: EventKind::Tick,
                ..
            }))
        ));
        let unknown = |bytes: &[u8]| match item(bytes) {
            Err(Misread::Unknown(name)) => name,
            other => panic!("{other:?}"),
        };
        let yawn = new_event(NewKind::Yawn);
        assert_eq!(
            event(&encoded(&yawn)),
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
                matches!(item(&bytes[..end]), Err(Misread::Malformed(_))),
                "{end}"
            );
        }
    }

    #[test]
    fn hostile_lengths_and_depths_are_malformed() {
        // An array, a map and a string of 2^62 elements; arrays in arrays.
        for start in [0x9b, 0xbb, 0x7b, 0x5b] {
            let bytes = [&[start, 0x40, 0, 0, 0, 0, 0, 0, 0][..], &[0xa1; 40]].concat();
            assert!(matches!(item(&bytes), Err(Misread::Malformed(_))));
        }
        assert!(matches!(item(&[0x81; 100_000]), Err(Misread::Malformed(_))));
        assert!(matches!(item(&[0xa1; 100_000]), Err(Misread::Malformed(_))));
    }
}
