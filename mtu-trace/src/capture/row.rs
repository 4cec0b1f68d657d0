//! Rows: values one after the other in a CBOR array, without their names, because frequent events are
//! read several times as fast from them. What each place means is in [`crate::capture::rows`].
//!
//! A row may have more places than are known here; they are skipped. Nothing is allocated for what a
//! length says.

use std::convert::Infallible;
use std::{io, mem};

use cbor4ii::core::dec::{self, Decode, IgnoredAny, Read, Reference};
use cbor4ii::core::enc::Encode;
use cbor4ii::core::types::{Array, Map};
use cbor4ii::core::utils::{BufWriter, SliceReader};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::text::stored::clean;
use crate::capture::blocks;
use crate::capture::dictionary::{Dictionary, Entry, EntryError, Numbered, Numbers, Told};

mod fields;

/// The most bytes that are looked at ahead: a CBOR number takes at most nine (RFC 8949, section 3).
const LOOK_AHEAD_BYTES: usize = 9;
/// CBOR's `null` (RFC 8949, section 3.3).
const NULL: u8 = 0xf6;

/// Why a value cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The bytes are no CBOR, or a value of another type.
    #[error(transparent)]
    Cbor(#[from] dec::Error<Infallible>),
    /// The bytes are no structure of the fields that are wanted.
    #[error("{0}")]
    Structure(String),
    /// The row ends too early, or has a value that this version does not know.
    #[error("it ends too early")]
    Unfit,
    #[error(transparent)]
    Entry(#[from] EntryError),
}

pub type Taken<T> = Result<T, FieldError>;

/// The result of writing a value: it fails without memory only.
pub type Put = io::Result<()>;

/// What can stand in a row.
pub trait Field: Sized {
    /// How many places of a row it fills.
    const PLACES: usize = 1;
    fn put(&self, to: &mut RowWriter<'_>) -> Put;
    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self>;
}

/// What is written as the fields of a row.
pub trait Row: Sized {
    /// The names of the fields, in their order. `docs/capture-format.md` lists the same.
    #[cfg(test)]
    const FIELDS: &'static [&'static str];
    /// How many places the fields fill.
    fn places(&self) -> usize;
    fn put_fields(&self, to: &mut RowWriter<'_>) -> Put;
    fn take_fields(from: &mut RowReader<'_, '_>) -> Taken<Self>;
}

/// A row that is being written.
pub struct RowWriter<'n> {
    to: BufWriter,
    numbers: &'n mut Numbers,
    /// The blocks that tell the entries which the row is the first to speak of.
    told: Vec<u8>,
}

/// What is written behind `start`, and the blocks that must be told before it.
pub fn written(
    numbers: &mut Numbers,
    start: fn() -> Vec<u8>,
    write: impl Fn(&mut RowWriter<'_>) -> Put,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let attempt = |numbers: &mut Numbers| {
        let mut to = RowWriter {
            to: BufWriter::new(start()),
            numbers,
            told: Vec::new(),
        };
        write(&mut to)?;
        Ok((to.to.into_inner(), to.told))
    };
    let first = attempt(numbers);
    if !numbers.is_overfull() {
        return first;
    }
    *numbers = Numbers::default();
    attempt(numbers)
}

impl RowWriter<'_> {
    #[inline]
    fn encode(&mut self, value: impl Encode) -> Put {
        value.encode(&mut self.to).map_err(io::Error::other)
    }

    /// Begins a row of so many places.
    pub fn row(&mut self, places: usize) -> Put {
        Array::bounded(places, &mut self.to).map_err(io::Error::other)
    }

    /// Begins a map with one key, which says what follows it.
    pub fn key(&mut self, key: &str) -> Put {
        Map::bounded(1, &mut self.to).map_err(io::Error::other)?;
        self.encode(key)
    }

    /// Writes a structure with its fields' names, or a text.
    pub fn structure<T: Serialize + ?Sized>(&mut self, value: &T) -> Put {
        let mut to = cbor4ii::serde::Serializer::new(&mut self.to);
        value.serialize(&mut to).map_err(io::Error::other)
    }

    /// Writes the number of an entry, which is told before if it is new.
    fn entry<T: Entry>(&mut self, entry: &T, of: impl Fn(&mut Numbers) -> &mut Numbered<T>) -> Put {
        let (number, new) = of(self.numbers).number(entry);
        if new {
            let row = mem::replace(&mut self.to, BufWriter::new(blocks::own_content()));
            self.key(T::KIND)?;
            self.row(1 + entry.places())?;
            number.put(self)?;
            entry.put_fields(self)?;
            let told = mem::replace(&mut self.to, row);
            blocks::put_own(&mut self.told, told.buffer())?;
        }
        number.put(self)
    }
}

/// A row that is being read.
pub struct RowReader<'b, 'd> {
    from: SliceReader<'b>,
    dictionary: &'d Dictionary,
    /// The places of the row that are left.
    left: usize,
}

impl<'b, 'd> RowReader<'b, 'd> {
    pub fn new(bytes: &'b [u8], dictionary: &'d Dictionary) -> Self {
        Self {
            from: SliceReader::new(bytes),
            dictionary,
            left: 1,
        }
    }

    /// Reads the row in the next place, and skips the places of it that `read` leaves.
    #[inline]
    pub fn row<T>(&mut self, read: impl FnOnce(&mut Self) -> Taken<T>) -> Taken<T> {
        self.place()?;
        let places = match self.ahead() {
            [first @ 0x80..=0x97, ..] => {
                let places = usize::from(first & 0x1f);
                self.from.advance(1);
                places
            }
            _ => Array::len(&mut self.from)?.ok_or(FieldError::Unfit)?,
        };
        let outer = mem::replace(&mut self.left, places);
        let value = read(self)?;
        for _ in 0..self.left {
            IgnoredAny::decode(&mut self.from)?;
        }
        self.left = outer;
        Ok(value)
    }

    /// Reads a place that older rows do not have.
    pub fn or_default<T: Field + Default>(&mut self) -> Taken<T> {
        if self.left == 0 {
            return Ok(T::default());
        }
        T::take(self)
    }

    /// The key of a map that has only one; its value comes next. `None` for anything else.
    pub fn key(&mut self) -> Option<&'b str> {
        if !matches!(Map::len(&mut self.from), Ok(Some(1))) {
            return None;
        }
        <&'b str>::decode(&mut self.from).ok()
    }

    /// Reads a structure that was written with its fields' names.
    pub fn structure<T: DeserializeOwned>(&mut self) -> Taken<T> {
        self.place()?;
        let mut from = cbor4ii::serde::Deserializer::new(&mut self.from);
        T::deserialize(&mut from).map_err(|error| FieldError::Structure(error.to_string()))
    }

    /// Reads an entry of the dictionary by its number.
    fn entry<T: Entry>(&mut self, of: impl Fn(&Dictionary) -> &Told<T>) -> Taken<T> {
        let number = u32::take(self)?;
        Ok(of(self.dictionary).entry(number)?.clone())
    }

    /// Reads a text. Nothing in it can do something to a terminal: anyone may have written it.
    pub fn text<T: AsRef<str> + From<String> + From<&'b str>>(&mut self) -> Taken<T> {
        self.decode::<&'b str>().map(|text| clean(T::from(text)))
    }

    #[inline]
    fn decode<T: Decode<'b>>(&mut self) -> Taken<T> {
        self.place()?;
        Ok(T::decode(&mut self.from)?)
    }

    /// Takes up a place.
    #[inline]
    fn place(&mut self) -> Taken<()> {
        self.left = self.left.checked_sub(1).ok_or(FieldError::Unfit)?;
        Ok(())
    }

    /// The bytes that come next, as far as the longest number reaches.
    #[inline]
    fn ahead(&mut self) -> &'b [u8] {
        match self.from.fill(LOOK_AHEAD_BYTES) {
            Ok(Reference::Long(bytes)) => bytes,
            // Slices are handed out as they are, and without errors.
            Ok(Reference::Short(_)) | Err(_) => &[],
        }
    }
}

/// The type of the value that bytes begin with (RFC 8949, section 3.1).
fn major_type(bytes: &[u8]) -> Option<u8> {
    bytes.first().map(|byte| byte >> 5)
}

pub fn is_map(bytes: &[u8]) -> bool {
    major_type(bytes) == Some(5)
}

/// Whether bytes begin with a whole value of whatever type.
pub fn is_whole(bytes: &[u8]) -> bool {
    IgnoredAny::decode(&mut SliceReader::new(bytes)).is_ok()
}

/// The unsigned number that comes next and the bytes it takes (RFC 8949, section 3.1); `None` if
/// something else comes. The library reads a number's bytes one call after the other, in several times
/// the time.
#[inline]
fn number(ahead: &[u8]) -> Option<(u64, usize)> {
    Some(match *ahead {
        [first @ ..=0x17, ..] => (first.into(), 1),
        [0x18, a, ..] => (a.into(), 2),
        [0x19, a, b, ..] => (u16::from_be_bytes([a, b]).into(), 3),
        [0x1a, a, b, c, d, ..] => (u32::from_be_bytes([a, b, c, d]).into(), 5),
        [0x1b, a, b, c, d, e, f, g, h, ..] => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 9),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_the_library_says() {
        let widths = (0..64).map(|bits| 1u64 << bits);
        let about = widths.flat_map(|power| [power - 1, power, power + 0x17]);
        let dictionary = Dictionary::default();
        for value in about.chain([u64::MAX]) {
            let (bytes, _) =
                written(&mut Numbers::default(), Vec::new, |to| value.put(to)).unwrap();
            // Cut off, whole, and with something behind.
            for (end, more) in (0..bytes.len())
                .map(|end| (end, 0))
                .chain([(bytes.len(), 0), (bytes.len(), 3)])
            {
                let bytes = [&bytes[..end], &[0xff; 9][..more]].concat();
                let reader = || RowReader::new(&bytes, &dictionary);
                let (mut one, mut other) = (reader(), reader());
                let decoded = u64::decode(&mut other.from).ok();
                assert_eq!(u64::take(&mut one).ok(), decoded);
                assert_eq!(one.ahead(), other.ahead());
                let (mut one, mut other) = (reader(), reader());
                assert_eq!(u16::take(&mut one).ok(), u16::decode(&mut other.from).ok());
            }
        }
    }
}
