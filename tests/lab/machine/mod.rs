//! Virtual machines with Debian's kernels, which the emulator runs without any help of the processor.

pub mod boot;
pub mod emulator;
pub mod files;
pub mod kernels;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;

use self::boot::{Logs, Run};
use self::emulator::Emulator;
use self::kernels::{Kernel, Wanted};
use crate::packages::Archive;

/// What machines are made of, fetched once and kept.
pub struct Store {
    directory: PathBuf,
    /// Where the machine's packages come from; not asked where all is downloaded already.
    archive: OnceLock<Archive>,
}

impl Store {
    /// The one in `directory`, whatever is there already.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            archive: OnceLock::new(),
        }
    }

    /// A kernel, and what boots it.
    ///
    /// # Errors
    ///
    /// It is not here, and cannot be fetched.
    pub fn machine(&self, wanted: &Wanted) -> Result<Machine> {
        let archive = || self.archive();
        let busybox = self.busybox()?;
        Ok(Machine {
            emulator: Emulator::get(&self.directory, archive)?,
            kernel: wanted.get(&self.directory, &busybox, || self.archive()?.mirror())?,
            busybox,
        })
    }

    /// The static busybox.
    ///
    /// # Errors
    ///
    /// It is not here, and cannot be fetched.
    pub fn busybox(&self) -> Result<PathBuf> {
        emulator::busybox(&self.directory, || self.archive())
    }

    /// The archive of this machine's own sources, with its lists.
    ///
    /// # Errors
    ///
    /// They cannot be fetched.
    pub fn archive(&self) -> Result<&Archive> {
        if let Some(archive) = self.archive.get() {
            return Ok(archive);
        }
        let archive = Archive::of_machine(&self.directory.join("machine"))?;
        archive.update()?;
        Ok(self.archive.get_or_init(|| archive))
    }
}

/// A virtual machine before it boots.
pub struct Machine {
    /// What boots.
    pub kernel: Kernel,
    /// All programs of a small system in one, linked statically.
    pub busybox: PathBuf,
    emulator: Emulator,
}

impl Machine {
    /// Boots it with the file system in `initramfs`, until it ends or `limit` has passed.
    ///
    /// # Errors
    ///
    /// The emulator cannot be started, or a file cannot be written.
    pub fn boot(&self, initramfs: &Path, logs: &Logs, limit: Duration) -> Result<Run> {
        boot::boot(&self.emulator, &self.kernel, initramfs, logs, limit)
    }
}
