//! Namespaces that somebody asked for: what their words mean, which namespaces those are, and what there is
//! instead of one that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::base::text::printable;
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{Container, Netns, NetnsId, Topology};

/// The directories in which `ip netns` keeps its names.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// Targets named in one message at most. A choice: a terminal's two or three lines.
const MOST_NAMED: usize = 12;
/// Digits of a container's identifier in what engines print (`docker ps`).
const SHORT_ID: usize = 12;

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
    /// This very namespace.
    Exact(NetnsId),
    /// Those with this `ip netns` name, or with this inode number.
    Name(String, Option<u64>),
    /// The container and those inside it.
    Container,
    /// The one whose process with the lowest pid this is.
    Pid(i32),
}

impl Target {
    fn new(kind: TargetKind, word: &str, meaning: Meaning) -> Self {
        let chosen = match meaning {
            Meaning::Exact(netns) => BTreeSet::from([netns]),
            _ => BTreeSet::new(),
        };
        Self {
            kind,
            word: word.to_owned(),
            meaning,
            chosen,
        }
    }

    /// The target of a `--container` option.
    pub fn container(word: &str) -> Self {
        Self::new(TargetKind::Container, word, Meaning::Container)
    }

    /// The target of a `--netns` option. `resolve` finds the namespace of a file on this machine as it is
    /// now; `None` in a recording, which may be another machine's, or of a time long ago.
    ///
    /// # Errors
    ///
    /// The word is a path, and no network namespace's; in a recording one that tells neither a name nor a
    /// process.
    pub fn netns(word: &str, resolve: Option<Resolve<'_>>) -> Result<Self, TargetError> {
        if !word.contains('/') {
            let meaning = Meaning::Name(word.to_owned(), word.parse().ok());
            return Ok(Self::new(TargetKind::Netns, word, meaning));
        }
        let path = Path::new(word);
        let name = file_name(path).map(|name| Meaning::Name(name.to_owned(), None));
        let meaning = match resolve.map(|resolve| resolve(path)) {
            Some(Ok(netns)) => Meaning::Exact(netns),
            Some(Err(source)) => {
                // `ip netns add` may still come.
                let name = name.filter(|_| source.kind() == io::ErrorKind::NotFound);
                name.ok_or_else(|| TargetError::File {
                    path: path.to_owned(),
                    source,
                })?
            }
            None => name
                .or_else(|| process_of(path).map(Meaning::Pid))
                .ok_or_else(|| TargetError::Foreign(path.to_owned()))?,
        };
        Ok(Self::new(TargetKind::Netns, word, meaning))
    }

    /// The target of a `--pid` option; `resolve` as with [`Target::netns`].
    ///
    /// # Errors
    ///
    /// There is no such process, or it may not be looked at.
    pub fn process(pid: i32, resolve: Option<Resolve<'_>>) -> Result<Self, TargetError> {
        let path = format!("/proc/{pid}/ns/net");
        let meaning = match resolve.map(|resolve| resolve(Path::new(&path))) {
            None => Meaning::Pid(pid),
            Some(Ok(netns)) => Meaning::Exact(netns),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(TargetError::NoProcess(pid));
            }
            Some(Err(source)) => return Err(TargetError::Process { pid, source }),
        };
        Ok(Self::new(TargetKind::Pid, &pid.to_string(), meaning))
    }

    /// Takes in the namespaces there are.
    pub fn learn(&mut self, topology: &Topology) {
        let known = topology.namespaces.iter();
        let is_meant = |netns: &Netns| match &self.meaning {
            Meaning::Exact(_) | Meaning::Container => false,
            Meaning::Name(name, inode) => {
                netns.name.as_ref() == Some(name) || *inode == Some(netns.inode)
            }
            Meaning::Pid(pid) => netns.process.as_ref().is_some_and(|it| it.pid == *pid),
        };
        let meant = known.filter(|(_, netns)| is_meant(netns));
        self.chosen.extend(meant.map(|(&id, _)| id));
        if self.kind == TargetKind::Container {
            self.chosen.extend(containers(topology, &self.word));
            inside(topology, &mut self.chosen);
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

/// The `ip netns` name that a path stands for.
fn file_name(path: &Path) -> Option<&str> {
    let parent = path.parent()?;
    let named = NAMED.iter().any(|directory| parent == Path::new(directory));
    path.file_name().and_then(OsStr::to_str).filter(|_| named)
}

/// The process whose namespace a path stands for.
fn process_of(path: &Path) -> Option<i32> {
    let rest = path.to_str()?.strip_prefix("/proc/")?;
    let pid = rest.strip_suffix("/ns/net")?.parse().ok()?;
    (pid > 0).then_some(pid)
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
        let parent = |netns: &Netns| netns.container.as_ref()?.parent;
        let is_inside = |netns| parent(netns).is_some_and(|parent| chosen.contains(&parent));
        let known = topology.namespaces.iter();
        let nested = known.filter(|(id, netns)| !chosen.contains(id) && is_inside(netns));
        let nested: Vec<NetnsId> = nested.map(|(&id, _)| id).collect();
        if nested.is_empty() {
            return;
        }
        chosen.extend(nested);
    }
}

/// The namespaces of a trace by their latest names, the ones already gone included.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownTargets(BTreeMap<NetnsId, NetnsRef>);

impl KnownTargets {
    /// Takes in the namespaces there are now.
    pub fn learn(&mut self, topology: &Topology) {
        let known = topology.namespaces.keys();
        self.0
            .extend(known.map(|&id| (id, NetnsRef::new(id, topology))));
    }

    /// Names what there is of the kind of a target that is not there.
    pub fn instead_of(&self, target: &Target) -> String {
        let known = self.0.values();
        let is_named = |netns: &NetnsRef| {
            let container = netns.container.as_ref();
            container.is_some_and(|it| it.name.as_ref() == Some(&target.word))
        };
        match target.kind {
            TargetKind::Netns if self.0.values().any(is_named) => {
                format!("a container has that name: --container {}", target.word)
            }
            TargetKind::Netns => list(
                "network namespaces",
                &target.word,
                known.map(|netns| match (&netns.name, netns.init) {
                    (Some(name), _) => format!("{name} ({})", netns.inode),
                    (None, true) => format!("{} (the host)", netns.inode),
                    (None, false) => netns.inode.to_string(),
                }),
            ),
            TargetKind::Container => list(
                "containers",
                &target.word,
                known.filter_map(|netns| {
                    let container = netns.container.as_ref()?;
                    let id = container.id.get(..SHORT_ID).unwrap_or(&container.id);
                    let name = container.name.as_ref().or(container.pod_name.as_ref());
                    Some(name.map_or_else(|| id.to_owned(), |name| format!("{name} ({id})")))
                }),
            ),
            TargetKind::Pid => list(
                "processes known by their namespaces",
                &target.word,
                known.filter_map(|netns| {
                    let process = netns.process.as_ref()?;
                    Some(format!("{} ({})", process.pid, process.comm))
                }),
            ),
        }
    }
}

/// Says what of `what` is known: where that is too much for one message, what is spelled most like `asked`.
fn list(what: &str, asked: &str, known: impl Iterator<Item = String>) -> String {
    let mut known: Vec<String> = known.collect();
    if known.is_empty() {
        return format!("no {what} are known");
    }
    let named = known.len().min(MOST_NAMED);
    if named < known.len() {
        let likeness = |name: &String| strsim::jaro_winkler(asked, name);
        known.sort_by(|one, other| likeness(other).total_cmp(&likeness(one)));
    }
    let rest = match known.len() - named {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("the {what} are {}{rest}", known[..named].join(", "))
}
