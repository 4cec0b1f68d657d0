//! What the values in rows look like: numbers, addresses, names, and what is made of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cbor4ii::core::dec::{Decode, Read as _};
use cbor4ii::core::types::{Bytes, Null};

use super::{Field, FieldError, NULL, Put, Row, RowReader, RowWriter, Taken, major_type, number};
use crate::model::event::{Device, Name, SendError, TcpState};
use crate::model::network::{NetnsId, Topology};
use crate::model::store::Store;

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Field for $type {
            #[inline]
            fn put(&self, to: &mut RowWriter<'_>) -> Put {
                to.encode(self)
            }

            #[inline]
            fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
                from.place()?;
                if let Some((value, bytes)) = number(from.ahead())
                    && let Ok(value) = Self::try_from(value)
                {
                    from.from.advance(bytes);
                    return Ok(value);
                }
                // The library knows what is wrong.
                Ok(Self::decode(&mut from.from)?)
            }
        }
    )* };
}

numbers!(u8, u16, u32, u64);

impl Field for bool {
    #[inline]
    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        to.encode(self)
    }

    #[inline]
    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        from.decode()
    }
}

impl<T: Field> Field for Option<T> {
    #[inline]
    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        match self {
            Some(value) => value.put(to),
            None => to.encode(Null),
        }
    }

    #[inline]
    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        if let [NULL, ..] = from.ahead() {
            from.place()?;
            from.from.advance(1);
            return Ok(None);
        }
        T::take(from).map(Some)
    }
}

impl<T: Field> Field for Box<T> {
    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        (**self).put(to)
    }

    #[inline]
    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        T::take(from).map(Self::new)
    }
}

macro_rules! wrapped {
    ($($type:ident),*) => { $(
        impl Field for $type {
            #[inline]
            fn put(&self, to: &mut RowWriter<'_>) -> Put {
                self.0.put(to)
            }

            #[inline]
            fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
                Field::take(from).map(Self)
            }
        }
    )* };
}

wrapped!(NetnsId, SendError, TcpState);

/// The bytes of the address, then the port.
impl Field for SocketAddr {
    const PLACES: usize = 2;

    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        match self.ip() {
            IpAddr::V4(ip) => to.encode(Bytes(&ip.octets()[..]))?,
            IpAddr::V6(ip) => to.encode(Bytes(&ip.octets()[..]))?,
        }
        self.port().put(to)
    }

    #[inline]
    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        const V4: u8 = 0x44;
        from.place()?;
        let address = if let [V4, a, b, c, d, ..] = *from.ahead() {
            from.from.advance(5);
            IpAddr::from([a, b, c, d])
        } else {
            let Bytes(bytes) = Bytes::<&[u8]>::decode(&mut from.from)?;
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            address.map_err(|_| FieldError::Unfit)?
        };
        Ok(Self::new(address, u16::take(from)?))
    }
}

/// A name is written as its number. It may stand as a text, too, as that of a device does in version 2.
impl Field for Name {
    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        to.entry(self, |numbers| &mut numbers.names)
    }

    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        const TEXT: u8 = 3;
        match major_type(from.ahead()) {
            Some(TEXT) => from.text(),
            _ => from.entry(|dictionary| &dictionary.names),
        }
    }
}

/// What an entry of the dictionary says of a name.
impl Row for Name {
    #[cfg(test)]
    const FIELDS: &'static [&'static str] = &["text"];

    fn places(&self) -> usize {
        1
    }

    fn put_fields(&self, to: &mut RowWriter<'_>) -> Put {
        to.structure(self.as_str())
    }

    fn take_fields(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        from.text()
    }
}

impl Field for Device {
    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        to.entry(self, |numbers| &mut numbers.devices)
    }

    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        from.entry(|dictionary| &dictionary.devices)
    }
}

/// A store is written by its name, of which newer versions may have more.
impl Field for Store {
    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        Name::from(self.name()).put(to)
    }

    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        Self::named(&Name::take(from)?).ok_or(FieldError::Unfit)
    }
}

impl Field for Vec<String> {
    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        to.row(self.len())?;
        self.iter().try_for_each(|text| to.structure(text))
    }

    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        from.row(|from| {
            let mut texts = Self::new();
            while from.left > 0 {
                texts.push(from.text()?);
            }
            Ok(texts)
        })
    }
}

/// The network is rare and large: it is a structure with its fields' names.
impl Field for Arc<Topology> {
    fn put(&self, to: &mut RowWriter<'_>) -> Put {
        to.structure(&**self)
    }

    fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
        from.structure().map(Self::new)
    }
}
