//! Which traces run on this host, so that one does not tidy away another's filters.

use std::{fs::File, io, path::Path};

use rustix::fs::{FlockOperation, flock};

/// The lock every trace holds, shared, for as long as it runs. The kernel lets go of it when the
/// process ends, however that is.
const LOCK: &str = "/run/mtu-trace.lock";

/// A running trace.
pub struct Instance {
    lock: Option<File>,
    alone: bool,
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
            .open(path)?;
        let alone = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        Ok(Self {
            lock: Some(file),
            alone,
        })
    }

    /// Whether no other trace runs, so that everything of ours on the host is a leftover.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Lets others in, after the leftovers are gone.
    pub fn share(&self) {
        if let Some(file) = &self.lock
            && let Err(error) = flock(file, FlockOperation::LockShared)
        {
            log::warn!("cannot share {LOCK}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_not_alone() {
        let path = std::env::temp_dir().join(format!("mtu-trace-lock-{}", std::process::id()));
        let first = Instance::enter_at(&path).unwrap();
        assert!(first.is_alone());
        first.share();
        let second = Instance::enter_at(&path).unwrap();
        assert!(!second.is_alone());
        drop(first);
        second.share();
        drop(second);
        assert!(Instance::enter_at(&path).unwrap().is_alone());
        std::fs::remove_file(&path).unwrap();
    }
}
