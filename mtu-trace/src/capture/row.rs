//! Rows: values one after the other in a CBOR array, without their names, because frequent events are
//! read several times as fast from them. What each place means is in [`crate::capture::rows`].
//!
//! A row may have more places than are known here; they are skipped. Nothing is allocated for what a
//! length says.

use std::{collections::TryReserveError, convert::Infallible, io, net::IpAddr};

use cbor4ii::core::{
    dec::{self, Decode, IgnoredAny, Read, Reference},
    enc::{self, Encode},
    types::{Array, Bytes, Map, Null},
    utils::{BufWriter, SliceReader},
};

use crate::{
    base::printable::stored::clean,
    model::{
        event::{Name, TcpState},
        network::NetnsId,
    },
};

/// The most that is looked at ahead, bytes: what the longest number takes.
const MOST_AHEAD: usize = 9;

/// Why there is nothing of the kind that was looked for.
#[derive(Debug)]
pub enum NoRow {
    /// The bytes are no CBOR, or of another type.
    Cbor(dec::Error<Infallible>),
    /// They are, but not as a row of this version has it.
    Other,
}

impl From<dec::Error<Infallible>> for NoRow {
    fn from(error: dec::Error<Infallible>) -> Self {
        Self::Cbor(error)
    }
}

/// The result of reading something.
pub type Taken<T> = Result<T, NoRow>;

/// The result of writing something: it fails without memory only.
pub type Put = Result<(), enc::Error<TryReserveError>>;

/// What can be in a row.
pub trait Item: Sized {
    /// Writes it.
    fn put(&self, to: &mut BufWriter) -> Put;
    /// Reads it.
    fn take(from: &mut SliceReader<'_>) -> Taken<Self>;
}

/// A row that is being read.
pub struct Row<'r, 'b> {
    from: &'r mut SliceReader<'b>,
    left: usize,
}

impl Row<'_, '_> {
    /// What is in the next place.
    #[inline]
    pub fn next<T: Item>(&mut self) -> Taken<T> {
        self.left = self.left.checked_sub(1).ok_or(NoRow::Other)?;
        T::take(self.from)
    }

    /// The same of a place that older rows do not have.
    pub fn next_or_default<T: Item + Default>(&mut self) -> Taken<T> {
        if self.left == 0 {
            return Ok(T::default());
        }
        self.next()
    }
}

/// Reads a row, and skips the places that `read` leaves.
#[inline]
pub fn take_row<T>(
    from: &mut SliceReader<'_>,
    read: impl FnOnce(&mut Row<'_, '_>) -> Taken<T>,
) -> Taken<T> {
    let left = match ahead(from) {
        [first @ 0x80..=0x97, ..] => {
            let left = usize::from(first & 0x1f);
            from.advance(1);
            left
        }
        _ => Array::len(from)?.ok_or(NoRow::Other)?,
    };
    let mut row = Row { from, left };
    let value = read(&mut row)?;
    for _ in 0..row.left {
        IgnoredAny::decode(row.from)?;
    }
    Ok(value)
}

/// Begins a row of so many places.
pub fn put_row(places: usize, to: &mut BufWriter) -> Put {
    Array::bounded(places, to)
}

/// Adds a map with one key, which says what `item` is, to bytes.
///
/// # Errors
///
/// If there is no memory.
pub fn named(bytes: Vec<u8>, name: &str, item: &impl Item) -> io::Result<Vec<u8>> {
    put(bytes, |to| {
        Map::bounded(1, to)?;
        name.encode(to)?;
        item.put(to)
    })
}

/// The bytes of an item.
///
/// # Errors
///
/// If there is no memory.
pub fn alone(item: &impl Item) -> io::Result<Vec<u8>> {
    put(Vec::new(), |to| item.put(to))
}

fn put(bytes: Vec<u8>, write: impl FnOnce(&mut BufWriter) -> Put) -> io::Result<Vec<u8>> {
    let mut to = BufWriter::new(bytes);
    write(&mut to).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(to.into_inner())
}

/// The name of a map with one key, and what follows it; `None` for anything else.
pub fn name_of<'b>(bytes: &'b [u8]) -> Option<(&'b str, SliceReader<'b>)> {
    // As this program writes it.
    if let [0xa1, length @ 0x60..=0x77, rest @ ..] = bytes
        && let Some((name, rest)) = rest.split_at_checked(usize::from(length & 0x1f))
    {
        return Some((str::from_utf8(name).ok()?, SliceReader::new(rest)));
    }
    let mut from = SliceReader::new(bytes);
    if !matches!(Map::len(&mut from), Ok(Some(1))) {
        return None;
    }
    let name = <&'b str>::decode(&mut from).ok()?;
    Some((name, from))
}

/// Whether bytes begin with a row.
pub fn is_row(bytes: &[u8]) -> bool {
    // The upper three bits are the type (RFC 8949, section 3.1).
    bytes.first().is_some_and(|byte| byte >> 5 == 4)
}

/// Whether bytes begin with something whole, whatever it is.
pub fn is_whole(bytes: &[u8]) -> bool {
    IgnoredAny::decode(&mut SliceReader::new(bytes)).is_ok()
}

/// What comes next, as far as the longest number reaches.
#[inline]
fn ahead<'b>(from: &mut SliceReader<'b>) -> &'b [u8] {
    match from.fill(MOST_AHEAD) {
        Ok(Reference::Long(bytes)) => bytes,
        // Slices are handed out as they are, and without errors.
        Ok(Reference::Short(_)) | Err(_) => &[],
    }
}

/// The number that comes next and the bytes it takes, if it is one without a sign (RFC 8949, section
/// 3.1). The library reads a number's bytes one call after the other, in several times the time.
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

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Item for $type {
            #[inline]
            fn put(&self, to: &mut BufWriter) -> Put {
                self.encode(to)
            }
            #[inline]
            fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
                if let Some((value, bytes)) = number(ahead(from))
                    && let Ok(value) = Self::try_from(value)
                {
                    from.advance(bytes);
                    return Ok(value);
                }
                // The library knows what is wrong.
                Ok(Self::decode(from)?)
            }
        }
    )* };
}

numbers!(u8, u16, u32, u64);

impl Item for bool {
    #[inline]
    fn put(&self, to: &mut BufWriter) -> Put {
        self.encode(to)
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        Ok(Self::decode(from)?)
    }
}

impl<T: Item> Item for Option<T> {
    #[inline]
    fn put(&self, to: &mut BufWriter) -> Put {
        match self {
            Some(item) => item.put(to),
            None => Null.encode(to),
        }
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        const NULL: u8 = 0xf6;
        if let [NULL, ..] = ahead(from) {
            from.advance(1);
            return Ok(None);
        }
        T::take(from).map(Some)
    }
}

impl Item for NetnsId {
    #[inline]
    fn put(&self, to: &mut BufWriter) -> Put {
        self.0.put(to)
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        u64::take(from).map(Self)
    }
}

impl Item for TcpState {
    #[inline]
    fn put(&self, to: &mut BufWriter) -> Put {
        self.0.put(to)
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        u32::take(from).map(Self)
    }
}

/// The bytes of an IP address.
pub struct Address(pub IpAddr);

impl Item for Address {
    fn put(&self, to: &mut BufWriter) -> Put {
        match self.0 {
            IpAddr::V4(ip) => Bytes(&ip.octets()[..]).encode(to),
            IpAddr::V6(ip) => Bytes(&ip.octets()[..]).encode(to),
        }
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        const V4: u8 = 0x44;
        if let [V4, a, b, c, d, ..] = *ahead(from) {
            from.advance(5);
            return Ok(Self(IpAddr::from([a, b, c, d])));
        }
        let Bytes(bytes) = Bytes::<&[u8]>::decode(from)?;
        let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
        address.map(Self).map_err(|_| NoRow::Other)
    }
}

impl Item for Name {
    fn put(&self, to: &mut BufWriter) -> Put {
        self.as_str().encode(to)
    }

    /// Nothing in it can do something to a terminal: anyone may have written it.
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        Ok(clean(Self::from(<&str>::decode(from)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_the_library_says() {
        let widths = (0..64).map(|bits| 1u64 << bits);
        let about = widths.flat_map(|power| [power - 1, power, power + 0x17]);
        for value in about.chain([u64::MAX]) {
            let bytes = alone(&value).unwrap();
            // Cut off, whole, and with something behind.
            for (end, more) in (0..bytes.len())
                .map(|end| (end, 0))
                .chain([(bytes.len(), 0), (bytes.len(), 3)])
            {
                let bytes = [&bytes[..end], &[0xff; 9][..more]].concat();
                let (mut one, mut other) = (SliceReader::new(&bytes), SliceReader::new(&bytes));
                assert_eq!(u64::take(&mut one).ok(), u64::decode(&mut other).ok());
                assert_eq!(ahead(&mut one), ahead(&mut other));
                let (mut one, mut other) = (SliceReader::new(&bytes), SliceReader::new(&bytes));
                assert_eq!(u16::take(&mut one).ok(), u16::decode(&mut other).ok());
            }
        }
    }
}
