//! Captures: a trace kept in a pcapng file, from which it can be told again without the host.
//!
//! A file is a valid pcapng. Packets are in it as packets, with a comment that says what happened to
//! them; everything else that the analysis sees is in blocks that other programs skip, in CBOR: what is
//! rare with the fields' names, what is frequent as rows ([`rows`]). `docs/capture-format.md` specifies
//! it. Reading a file yields the very events that were written, so the same analysis comes to the same
//! findings, byte for byte.
//!
//! [`Encoder`] turns events into bytes, [`Recorder`] has them written while the trace goes on, and
//! [`Reader`] reads them again. Nothing in a file is believed: lengths are bounded before memory is
//! taken for them, and what was good before a damage is used.

mod blocks;
mod change;
mod comment;
mod condition;
mod destination;
mod encoder;
mod format;
mod input;
mod interfaces;
mod misread;
mod open_sockets;
mod reader;
#[cfg(test)]
mod reader_tests;
mod recorder;
mod row;
mod rows;
mod stream;
mod tables;

pub use comment::describe;
pub use condition::{Condition, Damage, ReadError};
pub use destination::{Destination, Limits};
pub use encoder::Encoder;
pub use format::{End, FORMAT, Header};
pub use input::{Input, open, open_plain, unpacked};
pub use reader::Reader;
pub use recorder::{MOST_INTERFACES, Recorder};
pub use stream::MOST_BLOCK_BYTES;
