//! Namespaces that somebody asked for: what their words mean, and which namespaces those are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::base::text::printable;
use crate::model::network::{Container, Netns, NetnsId, Topology};

/// The directories in which `ip netns` keeps its names.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// A namespace that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Its file cannot be opened here.
    #[error(
        "--netns {}: cannot open this namespace: {source}; such files are /run/netns/NAME and \
         /proc/PID/ns/net", path.display()
    )]
    File {
        /// The path as it was given.
        path: PathBuf,
        /// The error of the attempt to open it.
        source: io::Error,
    },
    /// A process is not there.
    #[error("--pid {0}: there is no such process")]
    NoProcess(i32),
    /// A process cannot be looked at.
    #[error("--pid {pid}: cannot look at the network namespace of this process: {source}")]
    Process {
        /// The process as it was given.
        pid: i32,
        /// The error of the attempt to open its namespace.
        source: io::Error,
    },
    /// A file says nothing about a recording.
    #[error(
        "--netns {}: what this file is here says nothing about a recording; give the namespace's name \
         or inode number", .0.display()
    )]
    Foreign(PathBuf),
}

/// Finds the network namespace of a file. Opening files is the caller's business, so that selecting
/// does no I/O.
pub type Resolve<'a> = &'a dyn Fn(&Path) -> io::Result<NetnsId>;

/// The option a target was given by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Netns,
    Container,
    Pid,
}

/// What was asked for with one option, and the namespaces that are meant by it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub kind: TargetKind,
    /// As it was written.
    pub word: String,
    meaning: Meaning,
    /// The namespaces meant so far. What was meant once stays so, also when its namespace is gone and
    /// no longer in the topology.
    pub chosen: BTreeSet<NetnsId>,
}

#[derive(Clone, Debug)]
enum Meaning {
    /// This very namespace, which is among the chosen.
    Exact,
    /// Those with this `ip netns` name, or with this inode number.
    Name(String, Option<u64>),
    /// The container and those inside it.
    Container,
    /// The one whose process with the lowest pid this is.
    Pid(i32),
}

impl Target {
    fn new(kind: TargetKind, word: &str, meaning: Meaning) -> Self {
        Self {
            kind,
            word: word.to_owned(),
            meaning,
            chosen: BTreeSet::new(),
        }
    }

    fn exact(kind: TargetKind, word: &str, netns: NetnsId) -> Self {
        Self {
            chosen: BTreeSet::from([netns]),
            ..Self::new(kind, word, Meaning::Exact)
        }
    }

    /// The target of a `--container` option.
    pub fn container(word: &str) -> Self {
        Self::new(TargetKind::Container, word, Meaning::Container)
    }

    /// The target of a `--netns` option on this machine as it is now; `resolve` finds the namespace of a
    /// file.
    ///
    /// # Errors
    ///
    /// The word is a path, and no network namespace's.
    pub fn living_netns(word: &str, resolve: Resolve<'_>) -> Result<Self, TargetError> {
        let Some(path) = as_path(word) else {
            return Ok(Self::named(word, word, word.parse().ok()));
        };
        match resolve(path) {
            Ok(netns) => Ok(Self::exact(TargetKind::Netns, word, netns)),
            Err(error) => match file_name(path) {
                // `ip netns add` may still come.
                Some(name) if error.kind() == io::ErrorKind::NotFound => {
                    Ok(Self::named(word, name, None))
                }
                _ => Err(TargetError::File {
                    path: path.to_owned(),
                    source: error,
                }),
            },
        }
    }

    /// The target of a `--pid` option on this machine as it is now.
    ///
    /// # Errors
    ///
    /// There is no such process, or it may not be looked at.
    pub fn living_pid(pid: i32, resolve: Resolve<'_>) -> Result<Self, TargetError> {
        match resolve(Path::new(&format!("/proc/{pid}/ns/net"))) {
            Ok(netns) => Ok(Self::exact(TargetKind::Pid, &pid.to_string(), netns)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(TargetError::NoProcess(pid))
            }
            Err(source) => Err(TargetError::Process { pid, source }),
        }
    }

    /// A `--netns` of a recording, which may be another machine's, or of a time long ago.
    ///
    /// # Errors
    ///
    /// It is a file whose path does not tell the name or the process.
    pub fn recorded_netns(word: &str) -> Result<Self, TargetError> {
        let Some(path) = as_path(word) else {
            return Ok(Self::named(word, word, word.parse().ok()));
        };
        if let Some(name) = file_name(path) {
            return Ok(Self::named(word, name, None));
        }
        match process(path) {
            Some(pid) => Ok(Self::new(TargetKind::Netns, word, Meaning::Pid(pid))),
            None => Err(TargetError::Foreign(path.to_owned())),
        }
    }

    /// The namespace of a recorded process.
    pub fn recorded_pid(pid: i32) -> Self {
        Self::new(TargetKind::Pid, &pid.to_string(), Meaning::Pid(pid))
    }

    fn named(word: &str, name: &str, inode: Option<u64>) -> Self {
        Self::new(
            TargetKind::Netns,
            word,
            Meaning::Name(name.to_owned(), inode),
        )
    }

    /// Takes in the namespaces there are.
    pub fn learn(&mut self, topology: &Topology) {
        match &self.meaning {
            Meaning::Exact => {}
            Meaning::Container => {
                let found = containers(topology, &self.word);
                self.chosen.extend(found);
                inside(topology, &mut self.chosen);
            }
            meaning => {
                let known = topology.namespaces.iter();
                let meant = known.filter(|(_, netns)| is_meant(meaning, netns));
                self.chosen.extend(meant.map(|(&id, _)| id));
            }
        }
    }
}

/// Writes the option as the user would.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = match self.kind {
            TargetKind::Netns => "--netns",
            TargetKind::Container => "--container",
            TargetKind::Pid => "--pid",
        };
        write!(f, "{option} {}", printable(self.word.as_bytes()))
    }
}

/// The path that a `--netns` word is; `None` for a name or an inode number.
fn as_path(word: &str) -> Option<&Path> {
    word.contains('/').then(|| Path::new(word))
}

/// The `ip netns` name that a path stands for.
fn file_name(path: &Path) -> Option<&str> {
    let parent = path.parent()?;
    let named = NAMED.iter().any(|directory| parent == Path::new(directory));
    path.file_name().and_then(OsStr::to_str).filter(|_| named)
}

/// The process whose namespace a path stands for.
fn process(path: &Path) -> Option<i32> {
    let rest = path.to_str()?.strip_prefix("/proc/")?;
    let pid = rest.strip_suffix("/ns/net")?.parse().ok()?;
    (pid > 0).then_some(pid)
}

fn is_meant(meaning: &Meaning, netns: &Netns) -> bool {
    match meaning {
        Meaning::Exact | Meaning::Container => false,
        Meaning::Name(name, inode) => {
            netns.name.as_ref() == Some(name) || *inode == Some(netns.inode)
        }
        Meaning::Pid(pid) => netns.process.as_ref().is_some_and(|it| it.pid == *pid),
    }
}

/// The containers that a word means, as Docker takes it: one with this very identifier or name before
/// all whose identifier begins so. A pod's name means its containers.
fn containers(topology: &Topology, word: &str) -> Vec<NetnsId> {
    let word = word.strip_prefix('/').unwrap_or(word);
    let those = |fits: &dyn Fn(&Container) -> bool| -> Vec<NetnsId> {
        let known = topology.namespaces.iter();
        let fitting = known.filter(|(_, netns)| netns.container.as_ref().is_some_and(fits));
        fitting.map(|(&id, _)| id).collect()
    };
    let exact = those(&|container| {
        container.id == word
            || container.name.as_deref() == Some(word)
            || container.pod_name.as_deref() == Some(word)
    });
    if exact.is_empty() {
        those(&|container| container.id.starts_with(word))
    } else {
        exact
    }
}

/// Adds the containers in the chosen ones, and those in them.
fn inside(topology: &Topology, chosen: &mut BTreeSet<NetnsId>) {
    loop {
        let known = topology.namespaces.iter();
        let nested: Vec<NetnsId> = known
            .filter(|(id, netns)| {
                let parent = netns
                    .container
                    .as_ref()
                    .and_then(|container| container.parent);
                !chosen.contains(id) && parent.is_some_and(|parent| chosen.contains(&parent))
            })
            .map(|(&id, _)| id)
            .collect();
        if nested.is_empty() {
            return;
        }
        chosen.extend(nested);
    }
}
