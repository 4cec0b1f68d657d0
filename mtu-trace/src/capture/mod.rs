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

pub(crate) mod blocks;
pub(crate) mod carried;
pub(crate) mod change;
pub(crate) mod condition;
pub(crate) mod content;
pub(crate) mod dictionary;
pub(crate) mod encoder;
pub(crate) mod format;
pub(crate) mod input;
pub(crate) mod interfaces;
pub(crate) mod older;
pub(crate) mod output;
pub(crate) mod part_writer;
pub(crate) mod reader;
#[cfg(test)]
mod reader_tests;
pub(crate) mod row;
pub(crate) mod rows;
pub(crate) mod stream;

pub use crate::capture::condition::ReadError;
pub use crate::capture::encoder::Encoder;
pub use crate::capture::format::{PartEnd, PartHeader};
pub use crate::capture::input::{Input, open, open_plain, unpacked};
pub use crate::capture::output::{CaptureOutput, Existing, PartLimits};
pub use crate::capture::part_writer::{PartBounds, PartStore, PartWriter, WriteError};
pub use crate::capture::reader::Reader;
pub use crate::capture::rows::kind_name;
pub use crate::capture::stream::MOST_BLOCK_BYTES;
