//! The bytes of a capture, to be read from any place again and again.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::capture;
use crate::capture::Input;

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
    kept: Option<Arc<File>>,
    whole: Arc<File>,
}

impl CaptureBytes {
    /// Opens a capture.
    ///
    /// # Errors
    ///
    /// It cannot be read, or there is no room for what must be kept of it.
    pub fn open(path: &Path) -> Result<Self> {
        let input = capture::open(path)?;
        if let Some(file) = capture::open_plain(path)? {
            return Ok(Self {
                input,
                kept: None,
                whole: Arc::new(file),
            });
        }
        let kept =
            tempfile::tempfile().context("cannot keep what was decompressed or came by a pipe")?;
        let kept = Arc::new(kept);
        Ok(Self {
            input,
            whole: Arc::clone(&kept),
            kept: Some(kept),
        })
    }

    /// Where what has passed is read again.
    pub fn again(&self) -> At {
        At {
            file: Arc::clone(&self.whole),
            offset: 0,
        }
    }
}

impl Read for CaptureBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if let Some(kept) = &self.kept {
            let kept: &File = kept;
            (&*kept).write_all(&buffer[..read])?;
        }
        Ok(read)
    }
}
