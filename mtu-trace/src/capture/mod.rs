//! Captures: a trace kept in a pcapng file, from which it can be told again without the host.
//!
//! A file is a valid pcapng. Packets are in it as packets, with a comment that says what happened to
//! them; everything else that the analysis sees is in blocks that other programs skip, in CBOR: what is
//! rare with the fields' names, events as rows (`rows`). `docs/capture-format.md` specifies
//! it. Reading a file yields the very events that were written, so the same analysis comes to the same
//! findings, byte for byte.
//!
//! [`Encoder`] turns events into bytes, [`PartWriter`] has them written while the trace goes on, and
//! [`Reader`] reads them again. Nothing in a file is believed: lengths are bounded before memory is
//! taken for them, and what was good before a damage is used.

pub mod blocks;
pub mod change;
pub mod condition;
pub mod content;
pub mod dictionary;
pub mod encoder;
pub mod format;
pub mod input;
pub mod output;
pub mod part_writer;
pub mod reader;
#[cfg(test)]
mod reader_tests;
pub mod row;
pub mod rows;
pub mod stream;

pub use crate::capture::condition::ReadError;
pub use crate::capture::encoder::Encoder;
pub use crate::capture::format::{PartEnd, PartHeader};
pub use crate::capture::input::{Input, open, open_plain, unpacked};
pub use crate::capture::output::{CaptureOutput, Existing};
pub use crate::capture::part_writer::{PartStore, PartWriter, WriteError};
pub use crate::capture::reader::Reader;
pub use crate::capture::rows::kind_name;
pub use crate::capture::stream::MOST_BLOCK_BYTES;
