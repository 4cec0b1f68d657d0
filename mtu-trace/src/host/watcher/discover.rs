//! Finds the host's network namespaces: by the processes and threads in them, and by the mounts
//! that hold them in any mount namespace, which is where the ones of a nested container engine are
//! that have no process.
//!
//! A scan opens no namespace: links in `/proc` and lines of `mountinfo` already say the inode
//! number. Processes and mounts that vanish under way are normal and no errors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::process::getpid;

use crate::host::identity::{numbers, started};
use crate::host::netns::NetnsFile;
use crate::host::{mounts, netns};

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// At every process and the own mounts, and only for what is new.
    Quick,
    /// At every process and the mounts in every mount namespace.
    Normal,
    /// At every thread and every open file too: a thread can be in a namespace of its own, and a
    /// namespace can be held by nothing but a file.
    Everything,
}

/// Places kept for each namespace and kind: more than one, because the first may vanish.
const MAX_PLACES: usize = 3;

/// Whether the names count that namespaces are mounted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// They are those of the host.
    OfHost,
    /// Anybody may have chosen them.
    OfNobody,
}

/// The namespaces found by one scan.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The namespaces found, by inode number.
    pub found: BTreeMap<u64, FoundNetns>,
    /// Processes and mounts that could not be looked at.
    pub skipped: u32,
    /// The namespace of the host's first process.
    init: Option<u64>,
}

/// A namespace that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundNetns {
    /// The process that lives in it and was started first.
    pub pid: Option<i32>,
    /// Its name with the host's own `ip netns`: whoever may mount can call it anything elsewhere.
    pub name: Option<String>,
    /// Where it can be opened.
    pub places: Vec<NetnsPath>,
}

/// Where a namespace can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetnsPath {
    /// A file in `/proc`: of a process or a thread in it, or of an open file.
    Proc(String),
    /// A mount seen by a process.
    Mount(i32, PathBuf),
}

impl NetnsPath {
    /// Opens the namespace that was found there, by its inode number: `NotFound` if another one is
    /// there now.
    pub fn open(&self, inode: u64) -> io::Result<NetnsFile> {
        let fd = match self {
            Self::Proc(path) => netns::open_nsfs(Path::new(path))?,
            Self::Mount(pid, path) => mounts::open(*pid, path)?,
        };
        if netns::inode(&fd)? != inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        NetnsFile::from_fd(fd)
    }
}

/// Looks for namespaces; fails only if `/proc` cannot be read at all.
pub(crate) fn scan(depth: Depth) -> io::Result<Scan> {
    let mut scan = Scan {
        init: init_inode(),
        ..Scan::default()
    };
    // The lowest pid of each mount namespace, by its link.
    let mut mount_namespaces: BTreeMap<PathBuf, i32> = BTreeMap::new();
    let pids = numbers("/proc")?;
    for &pid in &pids {
        if let Err(error) = scan.link(format!("/proc/{pid}/ns/net"), Some(pid)) {
            scan.skip(&error);
        }
        if depth >= Depth::Normal
            && let Ok(link) = fs::read_link(format!("/proc/{pid}/ns/mnt"))
        {
            mount_namespaces.entry(link).or_insert(pid);
        }
    }
    if depth == Depth::Everything {
        for &pid in &pids {
            scan.threads_and_files(pid);
        }
    }
    let own = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    // Some hosts let nobody look at the first process.
    let host = fs::read_link("/proc/1/ns/mnt").unwrap_or_else(|_| own.clone());
    mount_namespaces.insert(own, own_pid());
    mount_namespaces.entry(host.clone()).or_insert(1);
    for (mount_namespace, pid) in mount_namespaces {
        let names = if mount_namespace == host {
            Names::OfHost
        } else {
            Names::OfNobody
        };
        scan.mounts(pid, names);
    }
    Ok(scan)
}

/// Inode number of the namespace of the host's first process.
pub(crate) fn init_inode() -> Option<u64> {
    // Some hosts let nobody look at the first process. Kernel threads are in its namespace.
    let is_kernel = || fs::read("/proc/2/comm").is_ok_and(|comm| comm == b"kthreadd\n");
    let of_kernel = || netns::linked_inode("/proc/2/ns/net").ok();
    let first = netns::linked_inode("/proc/1/ns/net").ok();
    first.or_else(|| is_kernel().then(of_kernel)?)
}

/// Inode numbers of the namespaces in the own mounts.
pub(crate) fn mounted() -> io::Result<BTreeSet<u64>> {
    let mounted = mounts::parse(&fs::read(OWN_MOUNTS)?).into_iter();
    Ok(mounted.map(|mounted| mounted.inode).collect())
}

/// The mounts of this process. Polled, it has urgent data when they change.
pub(crate) const OWN_MOUNTS: &str = "/proc/self/mountinfo";

/// Which of two processes was started first: the one that enters later is most often a visitor. Pids come
/// in order, lowest first, but they are used again.
fn first_started(known: i32, other: i32) -> i32 {
    match (started(known), started(other)) {
        (Some(known_ticks), Some(other_ticks)) if other_ticks < known_ticks => other,
        (None, Some(_)) => other,
        _ => known,
    }
}

fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}

impl Scan {
    /// Adds what a link is to, if that is a network namespace. `inhabitant` is a process that is
    /// in it.
    fn link(&mut self, path: String, inhabitant: Option<i32>) -> io::Result<()> {
        let inode = netns::linked_inode(&path)?;
        let found = self.found.entry(inode).or_default();
        found.pid = match (found.pid, inhabitant) {
            // That of the host has most of the processes, and is not called by any.
            (Some(known), Some(other)) if self.init != Some(inode) => {
                Some(first_started(known, other))
            }
            (known, other) => known.or(other),
        };
        if found.places.len() < MAX_PLACES {
            found.places.push(NetnsPath::Proc(path));
        }
        Ok(())
    }

    /// Adds the namespaces of the threads of a process, except its first, which is the process, and
    /// those whose files it has open. Where the process itself is not, it does not live: node agents
    /// have threads that visit any namespace for a moment, and so has this program.
    fn threads_and_files(&mut self, pid: i32) {
        let list = |path: &str| numbers(&format!("/proc/{pid}/{path}")).unwrap_or_default();
        for tid in list("task") {
            if tid != pid {
                let _found = self.link(format!("/proc/{pid}/task/{tid}/ns/net"), None);
            }
        }
        for fd in list("fd") {
            let _found = self.link(format!("/proc/{pid}/fd/{fd}"), None);
        }
    }

    fn mounts(&mut self, pid: i32, names: Names) {
        let mountinfo = match fs::read(format!("/proc/{pid}/mountinfo")) {
            Ok(mountinfo) => mountinfo,
            Err(error) => return self.skip(&error),
        };
        for mounted in mounts::parse(&mountinfo) {
            if mounted.unsafe_path && pid != own_pid() {
                // A look-up there could hang, at the will of the container. A namespace that has
                // a process or a link to a known one is found all the same.
                self.skipped += 1;
                continue;
            }
            let found = self.found.entry(mounted.inode).or_default();
            if names == Names::OfHost && found.name.is_none() {
                found.name = mounted.name();
            }
            if found.places.len() < 2 * MAX_PLACES {
                found.places.push(NetnsPath::Mount(pid, mounted.path));
            }
        }
    }

    /// Counts what may not be looked at; what has vanished is not missed.
    fn skip(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::PermissionDenied {
            self.skipped += 1;
        }
    }
}
