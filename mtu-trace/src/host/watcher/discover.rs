//! Finds the host's network namespaces: by the processes and threads in them, and by the mounts
//! that hold them in any mount namespace, which is where the ones of a nested container engine are
//! that have no process.
//!
//! A scan opens no namespace: links in `/proc` and lines of `mountinfo` already say the inode
//! number. Processes and mounts that vanish under way are normal and no errors.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{CWD, Dir, Mode, OFlags, readlinkat};
use rustix::io::Errno;
use rustix::process::getpid;

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

/// The namespaces found by one scan.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The namespaces found, by inode number.
    pub found: BTreeMap<u64, FoundNetns>,
    /// Processes and mounts that could not be looked at.
    pub skipped: u32,
}

/// A namespace that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundNetns {
    /// The process with the lowest pid in it.
    pub pid: Option<i32>,
    /// Its name with `ip netns`.
    pub name: Option<String>,
    /// Where it can be opened.
    pub places: Vec<NetnsPath>,
}

/// Whose mounts are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The tracer's own, in which every path may be looked up.
    Own,
    /// A container's, perhaps, which decides where a path leads.
    Others,
}

/// Where a namespace can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetnsPath {
    /// As the namespace of a process.
    Process(i32),
    /// As the namespace of a thread of a process.
    Thread(i32, i32),
    /// As a file that a process has open.
    File(i32, i32),
    /// As a mount seen by a process.
    Mount(i32, PathBuf),
}

impl NetnsPath {
    /// Opens what is there now, which may be another namespace than was found.
    pub fn open(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Process(pid) => netns::open_nsfs(Path::new(&format!("/proc/{pid}/ns/net"))),
            Self::Thread(pid, tid) => {
                netns::open_nsfs(Path::new(&format!("/proc/{pid}/task/{tid}/ns/net")))
            }
            Self::File(pid, fd) => netns::open_nsfs(Path::new(&format!("/proc/{pid}/fd/{fd}"))),
            Self::Mount(pid, path) => mounts::open(*pid, path),
        }
    }
}

/// Looks for namespaces.
///
/// # Errors
///
/// If `/proc` cannot be read at all.
pub(crate) fn scan(depth: Depth) -> io::Result<Scan> {
    let mut scan = Scan::default();
    // The lowest pid of each mount namespace, by its inode link.
    let mut mount_namespaces: BTreeMap<Vec<u8>, i32> = BTreeMap::new();
    let proc = rustix::fs::open("/proc", DIRECTORY, Mode::empty())?;
    let pids = numbers(&proc)?;
    for &pid in &pids {
        match readlinkat(&proc, format!("{pid}/ns/net"), Vec::new()) {
            Ok(link) => scan.place(link.as_bytes(), Some(pid), NetnsPath::Process(pid)),
            Err(error) => scan.skip(error),
        }
        if depth >= Depth::Normal
            && let Ok(link) = readlinkat(&proc, format!("{pid}/ns/mnt"), Vec::new())
        {
            mount_namespaces.entry(link.into_bytes()).or_insert(pid);
        }
    }
    if depth == Depth::Everything {
        for &pid in &pids {
            scan.threads(&proc, pid);
            scan.files(&proc, pid);
        }
    }
    // The own mount namespace goes first, so that its names are preferred.
    scan.mounts(getpid().as_raw_nonzero().get(), Whose::Own);
    if let Ok(own) = readlinkat(CWD, "/proc/self/ns/mnt", Vec::new()) {
        mount_namespaces.remove(own.as_bytes());
    }
    for pid in mount_namespaces.into_values() {
        scan.mounts(pid, Whose::Others);
    }
    Ok(scan)
}

/// Inode number of the namespace of the host's first process.
pub(crate) fn init_inode() -> Option<u64> {
    let inode = |pid: &str| {
        let link = readlinkat(CWD, format!("/proc/{pid}/ns/net"), Vec::new()).ok()?;
        mounts::net_inode(link.as_bytes())
    };
    // Some hosts let nobody look at the first process. Kernel threads are in its namespace.
    let is_kernel = || fs::read("/proc/2/comm").is_ok_and(|comm| comm == b"kthreadd\n");
    inode("1").or_else(|| is_kernel().then(|| inode("2"))?)
}

/// Inode numbers of the namespaces in the own mounts.
pub(crate) fn mounted() -> io::Result<BTreeSet<u64>> {
    let mountinfo = fs::read(OWN_MOUNTS)?;
    Ok(mounts::parse(&mountinfo)
        .into_iter()
        .map(|mounted| mounted.inode)
        .collect())
}

/// The mounts of this process. Polled, it has urgent data when they change.
pub(crate) const OWN_MOUNTS: &str = "/proc/self/mountinfo";

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Scan {
    /// Adds what a link is to, if that is a network namespace. `inhabitant` is a process that is
    /// in it.
    fn place(&mut self, link: &[u8], inhabitant: Option<i32>, place: NetnsPath) {
        let Some(inode) = mounts::net_inode(link) else {
            return;
        };
        let found = self.found.entry(inode).or_default();
        // Pids come in order, lowest first.
        found.pid = found.pid.or(inhabitant);
        if found.places.len() < MAX_PLACES {
            found.places.push(place);
        }
    }

    /// Adds the namespaces of the threads of a process, except its first, which is the process.
    fn threads(&mut self, proc: &OwnedFd, pid: i32) {
        for tid in list(proc, &format!("{pid}/task")) {
            if tid != pid
                && let Ok(link) = readlinkat(proc, format!("{pid}/task/{tid}/ns/net"), Vec::new())
            {
                self.place(link.as_bytes(), Some(pid), NetnsPath::Thread(pid, tid));
            }
        }
    }

    /// Adds the namespaces whose files a process has open.
    fn files(&mut self, proc: &OwnedFd, pid: i32) {
        for fd in list(proc, &format!("{pid}/fd")) {
            if let Ok(link) = readlinkat(proc, format!("{pid}/fd/{fd}"), Vec::new()) {
                self.place(link.as_bytes(), None, NetnsPath::File(pid, fd));
            }
        }
    }

    fn mounts(&mut self, pid: i32, whose: Whose) {
        let mountinfo = match fs::read(format!("/proc/{pid}/mountinfo")) {
            Ok(mountinfo) => mountinfo,
            Err(error) => return self.skip(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        };
        for mounted in mounts::parse(&mountinfo) {
            if mounted.unsafe_path && whose == Whose::Others {
                // A look-up there could hang, at the will of the container. A namespace that has
                // a process or a link to a known one is found all the same.
                self.skipped += 1;
                continue;
            }
            let name = mounted.name();
            let place = NetnsPath::Mount(pid, mounted.path);
            match self.found.entry(mounted.inode) {
                Entry::Vacant(entry) => {
                    entry.insert(FoundNetns {
                        pid: None,
                        name,
                        places: vec![place],
                    });
                }
                Entry::Occupied(mut entry) => {
                    let found = entry.get_mut();
                    if found.name.is_none() {
                        found.name = name;
                    }
                    if found.places.len() < 2 * MAX_PLACES {
                        found.places.push(place);
                    }
                }
            }
        }
    }

    /// Counts what may not be looked at; what has vanished is not missed.
    fn skip(&mut self, error: Errno) {
        if error == Errno::ACCESS || error == Errno::PERM {
            self.skipped += 1;
        }
    }
}

/// The entries of a directory that are numbers, in order.
fn numbers(directory: &OwnedFd) -> io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in Dir::read_from(directory)? {
        // A process directory can vanish while it is read (`ESRCH`).
        let Ok(entry) = entry else { break };
        if let Some(number) = number(entry.file_name()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The entries that are numbers of a directory in another, none if it has vanished.
fn list(parent: &OwnedFd, path: &str) -> Vec<i32> {
    rustix::fs::openat(parent, path, DIRECTORY, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|directory| numbers(&directory))
        .unwrap_or_default()
}

fn number(name: &CStr) -> Option<i32> {
    name.to_str().ok()?.parse().ok()
}
