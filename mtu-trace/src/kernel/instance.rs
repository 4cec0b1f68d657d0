//! Which traces run on this host, so that one does not tidy away another's filters.

use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;
use std::{io, thread};

use rustix::fs::{FlockOperation, flock};

/// The lock every trace holds, shared, for as long as it runs. The kernel lets go of it when the
/// process ends, however that is.
const LOCK: &str = "/run/mtu-trace.lock";

/// How often to try for the lock. A choice: for two seconds, in which another start has looked around.
const TRIES: u32 = 100;
/// How long to wait between two tries, see [`TRIES`].
const PAUSE: Duration = Duration::from_millis(20);

/// A running trace, entered with the host's other ones.
pub struct Instance {
    lock: Option<File>,
    /// Whether no other trace runs, so that everything of ours on the host is a leftover.
    pub(crate) alone: bool,
}

impl Instance {
    /// Enters the trace. Where the lock cannot be had at all, it counts as not alone: what a killed
    /// run left is then left once more, which harms nobody.
    pub fn enter() -> Self {
        Self::enter_at(Path::new(LOCK)).unwrap_or_else(|error| {
            log::warn!("cannot lock {LOCK}: {error}");
            Self {
                lock: None,
                alone: false,
            }
        })
    }

    fn enter_at(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            // Nobody else may hold it: whoever can open it can lock it.
            .mode(0o600)
            .open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let alone = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        Ok(Self {
            lock: Some(file),
            alone,
        })
    }

    /// Lets others in, after the leftovers are gone.
    pub fn share(&self) {
        let Some(file) = &self.lock else {
            return;
        };
        // Another one that starts holds it alone for the time of a look around.
        for _ in 0..TRIES {
            if flock(file, FlockOperation::NonBlockingLockShared).is_ok() {
                return;
            }
            thread::sleep(PAUSE);
        }
        log::warn!("cannot share {LOCK}: filters of this trace may be taken for leftovers");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_not_alone() {
        let path = std::env::temp_dir().join(format!("mtu-trace-lock-{}", std::process::id()));
        let first = Instance::enter_at(&path).unwrap();
        assert!(first.alone);
        first.share();
        let second = Instance::enter_at(&path).unwrap();
        assert!(!second.alone);
        drop(first);
        second.share();
        drop(second);
        assert!(Instance::enter_at(&path).unwrap().alone);
        std::fs::remove_file(&path).unwrap();
    }
}
