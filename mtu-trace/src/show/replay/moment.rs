//! The state after some of a capture's events, and the bytes of the rest, which are read from any place
//! again and again.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::capture::{self, Input, Reader};
use crate::model::event::Event;
use crate::show::watch::Watch;

/// A moment of a capture.
pub struct Moment<R> {
    /// The reader of the rest.
    pub reader: Reader<R>,
    /// All that was seen by then.
    pub watch: Watch,
    /// The event that comes next; `None` if none is left.
    pub next: Option<Event>,
    /// How many events there were.
    pub taken: u64,
    /// The latest time among them, ns.
    pub latest_ns: u64,
}

impl<R: Read> Moment<R> {
    /// The moment before the first event that is yet to be read.
    pub fn new(mut reader: Reader<R>, watch: Watch) -> Self {
        Self {
            next: reader.next_event(),
            reader,
            watch,
            taken: 0,
            latest_ns: 0,
        }
    }

    /// A copy that reads the rest elsewhere, from the given offset, bytes.
    pub fn copy<S: Read>(&self, input: impl FnOnce(u64) -> S) -> Moment<S> {
        Moment {
            reader: self.reader.fork(input),
            watch: self.watch.clone(),
            next: self.next.clone(),
            taken: self.taken,
            latest_ns: self.latest_ns,
        }
    }

    /// Takes in the next event.
    pub fn advance(&mut self) -> Option<Event> {
        let event = self.skim()?;
        self.watch.apply(&event);
        Some(event)
    }

    /// Goes past the next event without taking it in.
    pub fn skim(&mut self) -> Option<Event> {
        let event = self.next.take()?;
        self.next = self.reader.next_event();
        self.taken += 1;
        self.latest_ns = self.latest_ns.max(event.time_ns);
        Some(event)
    }

    /// Takes in what comes before the first event that is later, ns, or until there were so many.
    pub fn until(&mut self, to_ns: u64, most: u64) {
        while self.taken < most && self.next.as_ref().is_some_and(|it| it.time_ns <= to_ns) {
            self.advance();
        }
    }
}

impl Moment<At> {
    /// A copy that goes on by itself.
    pub fn fork(&self) -> Self {
        let input = self.reader.input();
        self.copy(|offset| input.at(offset))
    }
}

/// A place in the bytes of a capture.
#[derive(Clone)]
pub struct At {
    file: Arc<File>,
    offset: u64,
}

impl At {
    /// Another place of the same capture, bytes from its beginning.
    pub fn at(&self, offset: u64) -> Self {
        Self {
            file: Arc::clone(&self.file),
            offset,
        }
    }
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// The bytes of a capture in their order, which can be read again once they have passed: from the
/// file itself, or from a nameless one beside it where they are compressed or come by a pipe.
pub struct CaptureBytes {
    input: Input,
    /// Where what has passed is read again.
    file: Arc<File>,
    /// Whether that must be written there first.
    is_kept: bool,
}

impl CaptureBytes {
    /// Opens a capture.
    ///
    /// # Errors
    ///
    /// It cannot be read, or there is no room for what must be kept of it.
    pub fn open(path: &Path) -> Result<Self> {
        let input = capture::open(path)?;
        let plain = capture::open_plain(path)?;
        let is_kept = plain.is_none();
        let file = plain.map_or_else(tempfile::tempfile, Ok);
        let file = file.context("cannot keep what was decompressed or came by a pipe")?;
        Ok(Self {
            input,
            file: Arc::new(file),
            is_kept,
        })
    }

    /// Where what has passed is read again.
    pub fn again(&self) -> At {
        At {
            file: Arc::clone(&self.file),
            offset: 0,
        }
    }
}

impl Read for CaptureBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if self.is_kept {
            (&*self.file).write_all(&buffer[..read])?;
        }
        Ok(read)
    }
}
