//! Why something in a capture cannot be read: it is damaged, or of another version.

use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::{
    base::printable::stored::clean,
    capture::{row, row::NoRow, tables::BadEntry},
};

/// Why bytes are no item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misread {
    /// They are well-formed, but of a kind or content that is not known here.
    Unknown(String),
    /// They are no CBOR, or end too early.
    Malformed(String),
}

/// Why there is nothing in a row.
pub enum Wrong {
    /// It is none.
    Row(NoRow),
    /// It speaks of what was not told.
    Entry(BadEntry),
}

impl From<NoRow> for Wrong {
    fn from(error: NoRow) -> Self {
        Self::Row(error)
    }
}

impl From<BadEntry> for Wrong {
    fn from(error: BadEntry) -> Self {
        Self::Entry(error)
    }
}

/// What has a name and a row that cannot be taken may be from a version that has another row there.
pub fn no_row(bytes: &[u8], name: &str, error: Wrong) -> Misread {
    match error {
        Wrong::Entry(error) => Misread::Malformed(error.to_string()),
        Wrong::Row(_) if row::is_whole(bytes) => Misread::Unknown(name.to_owned()),
        Wrong::Row(NoRow::Cbor(error)) => Misread::Malformed(clean(error.to_string())),
        Wrong::Row(NoRow::Other) => Misread::Malformed(format!("a {name} that ends too early")),
    }
}

/// Whether something that cannot be taken is at least well-formed, and what it calls itself.
pub fn misread<'a, T: Named + Deserialize<'a>>(
    bytes: &'a [u8],
    error: &cbor4ii::serde::DecodeError<std::convert::Infallible>,
) -> Misread {
    match cbor4ii::serde::from_slice::<T>(bytes) {
        Ok(named) => Misread::Unknown(named.name()),
        Err(_) => Misread::Malformed(clean(error.to_string())),
    }
}

/// Something that says what it is.
pub trait Named {
    /// What.
    fn name(self) -> String;
}

/// An item of which only names are read.
pub struct Outer(String, Option<Inner>);

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
pub struct Inner {
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
