//! Who owns which namespaces: lock files that tell a living lab from one whose process has died.
//!
//! A process id in a name proves nothing, since ids are reused. Every lab therefore holds an
//! exclusive `flock` on a file of its own, which the kernel releases however the process ends:
//! whoever gets that lock may remove what the lab left behind.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::command;

/// Where the lock files are.
const RUN_DIR: &str = "/run/mtu-trace-lab";
/// Where `ip netns` keeps its names.
const NETNS_DIR: &str = "/run/netns";
/// How the name of every namespace of every lab begins; a process id follows.
pub(crate) const PREFIX: &str = "mtl";

/// A lab's claim on the namespaces whose names begin with its id and a hyphen.
///
/// Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Claim {
    id: String,
    _lock: File,
}

impl Claim {
    /// Claims `id`, which must be new.
    pub(crate) fn take(id: &str) -> Result<Self> {
        let lock = lock_file(id, FlockOperation::LockExclusive)?
            .with_context(|| format!("the lab {id} exists already"))?;
        Ok(Self {
            id: id.to_owned(),
            _lock: lock,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A failure leaves a name that the next sweep removes, so it is not worth a panic here.
        if let Err(error) = remove(&self.id) {
            eprintln!("lab {}: {error:#}", self.id);
        }
    }
}

/// Removes what labs whose process has died left behind. Every new lab does this first.
///
/// # Errors
///
/// The directories of locks or namespaces cannot be read. A leftover that cannot be removed is
/// skipped: it is not this lab's.
pub fn sweep() -> Result<()> {
    prepare_directory()?;
    let mut ids = BTreeSet::new();
    for name in names_in(Path::new(NETNS_DIR))? {
        // Whatever else begins with these letters is somebody else's.
        ids.extend(
            name.split_once('-')
                .map(|(id, _)| id.to_owned())
                .filter(|id| is_id(id)),
        );
    }
    for name in names_in(Path::new(RUN_DIR))? {
        ids.extend(
            name.strip_suffix(".lock")
                .map(str::to_owned)
                .filter(|id| is_id(id)),
        );
    }
    for id in ids {
        let lock = lock_file(&id, FlockOperation::NonBlockingLockExclusive)?;
        if lock.is_some() {
            let _ = remove(&id);
        }
    }
    Ok(())
}

/// Whether the lab `id` exists: [`sweep`] removes the locks of those that do not.
#[must_use]
pub fn is_alive(id: &str) -> bool {
    lock_path(id).exists()
}

/// Removes the namespaces of the lab `id` and then its lock file.
pub(crate) fn remove(id: &str) -> Result<()> {
    let prefix = format!("{id}-");
    let mut batch = String::new();
    for name in names_in(Path::new(NETNS_DIR))? {
        if name.starts_with(&prefix) {
            batch.push_str(&format!("netns del {name}\n"));
        }
    }
    let outcome = if batch.is_empty() {
        Ok(String::new())
    } else {
        // -force goes on with the next name when one is gone already.
        command::run_with_input("ip", &["-force", "-batch", "-"], &batch)
    };
    let _ = fs::remove_file(lock_path(id));
    outcome.map(drop)
}

/// A share in the whole host: many labs run at once, or one thread's alone.
#[derive(Debug)]
pub(crate) struct HostShare {
    _lock: File,
}

thread_local! {
    /// The share of the labs that this thread made and that still exist.
    static HELD: RefCell<Weak<HostShare>> = const { RefCell::new(Weak::new()) };
}

impl HostShare {
    /// Waits until no other thread has the host to itself, and keeps it so.
    pub(crate) fn shared() -> Result<Arc<Self>> {
        // A second lab of the same thread waits for nobody: one that wants to be alone would be
        // waiting for the first.
        HELD.with_borrow(Weak::upgrade)
            .map_or_else(|| Self::take(FlockOperation::LockShared), Ok)
    }

    /// Waits until no other lab exists, and keeps new ones out.
    pub(crate) fn exclusive() -> Result<Arc<Self>> {
        let held = HELD.with_borrow(Weak::upgrade).is_some();
        ensure!(
            !held,
            "a thread that holds a lab cannot have the host to itself"
        );
        Self::take(FlockOperation::LockExclusive)
    }

    fn take(operation: FlockOperation) -> Result<Arc<Self>> {
        prepare_directory()?;
        // Everyone passes the gate one by one, so that a waiting exclusive lab holds back the shared
        // ones that come after it instead of being overtaken by them for ever.
        let gate = open(&Path::new(RUN_DIR).join("gate"))?;
        wait_for_lock(&gate, FlockOperation::LockExclusive).context("waiting at the gate")?;
        let lock = open(&Path::new(RUN_DIR).join("host"))?;
        wait_for_lock(&lock, operation).context("waiting for the host")?;
        let share = Arc::new(Self { _lock: lock });
        HELD.set(Arc::downgrade(&share));
        Ok(share)
    }
}

/// Opens and locks the lock file of `id`; `None` when somebody else holds it.
fn lock_file(id: &str, operation: FlockOperation) -> Result<Option<File>> {
    prepare_directory()?;
    let path = lock_path(id);
    loop {
        let file = open(&path)?;
        match wait_for_lock(&file, operation) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("locking {}", path.display())),
        }
        // The holder before us may have unlinked the file that we waited for; then the lock means
        // nothing and the next file of that name is the one to take.
        let held = file.metadata().context("reading the lock file")?;
        match fs::metadata(&path) {
            Ok(named) if named.ino() == held.ino() => return Ok(Some(file)),
            _ => {}
        }
    }
}

fn wait_for_lock(file: &File, operation: FlockOperation) -> rustix::io::Result<()> {
    loop {
        match flock(file, operation) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {} (the lab needs root)", path.display()))
}

fn prepare_directory() -> Result<()> {
    fs::create_dir_all(RUN_DIR)
        .with_context(|| format!("cannot make {RUN_DIR} (the lab needs root)"))
}

fn lock_path(id: &str) -> PathBuf {
    Path::new(RUN_DIR).join(format!("{id}.lock"))
}

/// Whether `id` has the form that [`Lab`](crate::Lab) gives: the prefix, a pid, `x`, a number.
fn is_id(id: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    id.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('x'))
        .is_some_and(|(pid, number)| digits(pid) && digits(number))
}

/// The names in a directory; none when it does not exist.
fn names_in(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("reading {}", directory.display()))?,
    };
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::is_id;

    #[test]
    fn only_ids_of_labs_are_swept() {
        assert!(is_id("mtl4711x0"));
        for other in [
            "mtl",
            "mtl4711",
            "mtlx0",
            "mtl4711x",
            "mtl47a1x0",
            "mtlab",
            "docker0",
        ] {
            assert!(!is_id(other), "{other}");
        }
    }
}
