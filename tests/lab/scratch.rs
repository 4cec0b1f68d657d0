//! A directory for the files of one run, removed with its value.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::command;

/// A new, empty directory that everyone may read and that is removed when the value is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the directory under the system's temporary one.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("mtu-trace-lab-{}-{number}", std::process::id()));
        // Left by a process that was killed and had the same id.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        // Whatever the umask says.
        fs::set_permissions(&path, Permissions::from_mode(0o755))
            .with_context(|| format!("opening {} to all", path.display()))?;
        Ok(Self { path })
    }

    /// Puts a copy of the file `from` into the directory that everyone may run, and says where.
    ///
    /// # Errors
    ///
    /// It cannot be read or copied.
    pub fn install(&self, from: &Path, name: &str) -> Result<PathBuf> {
        let to = self.path.join(name);
        // Not `fs::copy`: a child process that another thread is just starting would have a copy of
        // the descriptor, and the kernel runs no file that is open for writing.
        let arguments = [
            OsStr::new("-m"),
            OsStr::new("755"),
            from.as_os_str(),
            to.as_os_str(),
        ];
        command::run("install", &arguments)?;
        Ok(to)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
