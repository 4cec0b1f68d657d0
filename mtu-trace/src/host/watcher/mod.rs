//! Keeps the topology up to date: by a full look now and then, and by what is heard in between.

pub(crate) mod census;
#[cfg(test)]
mod decode_tests;
pub(crate) mod discover;
pub(crate) mod hub;
pub(crate) mod inside;
pub(crate) mod linkinfo;
pub(crate) mod looking;
pub(crate) mod naming;
#[cfg(test)]
mod naming_tests;
pub(crate) mod notice;
pub(crate) mod record;
#[cfg(test)]
mod route_survey_tests;
pub(crate) mod routes;
pub(crate) mod snapshot;
pub(crate) mod survey;
#[cfg(test)]
mod survey_tests;
#[cfg(test)]
mod tests;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use anyhow::Context;
pub use discover::Depth;
pub use record::Entrance;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::host::netns::NetnsFile;
use crate::host::watcher::hub::{Hub, Nsid};
use crate::host::watcher::naming::Naming;
use crate::host::watcher::notice::Notice;
use crate::host::watcher::record::NetnsRecord;
use crate::host::watcher::snapshot::Due;
use crate::model::network::{NetnsId, Topology};

/// How long a namespace that is gone stays in the topology, for events that still speak of it.
const GONE_KEPT_NS: u64 = 60_000_000_000;

/// Watches the host's namespaces and links.
///
/// It holds no namespace but its own: what it watches comes and goes as if it were not there. All times
/// are ns of `CLOCK_MONOTONIC`.
pub struct Watcher {
    pub(crate) hub: Hub,
    /// The namespaces that live, by identity.
    pub(crate) records: BTreeMap<NetnsId, NetnsRecord>,
    /// Who has which number. Whoever dies loses it here when the hub says so.
    pub(crate) nsids: HashMap<Nsid, NetnsId>,
    /// Numbers of namespaces that links lead to and that could not be found.
    pub(crate) unknown: BTreeSet<Nsid>,
    /// Numbers that somebody has by what was heard.
    pub(crate) given: BTreeSet<Nsid>,
    /// Numbers that were given to another before the death of the former owner was told.
    pub(crate) untold: BTreeSet<Nsid>,
    /// What was heard and not yet taken in.
    pub(crate) pending: Vec<Notice>,
    /// What was heard of namespaces and has not been looked at since.
    pub(crate) due: BTreeMap<NetnsId, Due>,
    /// Namespaces of which the topology may say something old, and whether all may be: what is said
    /// of one namespace can depend on another.
    pub(crate) stale: BTreeSet<NetnsId>,
    pub(crate) all_stale: bool,
    /// What was known of those that died, until it is published.
    buried: Vec<(NetnsId, NetnsRecord)>,
    /// When the ones that are gone went.
    pub(crate) gone: BTreeMap<NetnsId, u64>,
    pub(crate) naming: Naming,
    topology: Arc<Topology>,
    /// When the present call was made, and what has changed by it.
    pub(crate) now_ns: u64,
    pub(crate) changes: Changes,
}

/// What a look has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Namespaces that are new.
    pub added: BTreeSet<NetnsId>,
    /// Namespaces of which something is different: a link, an address, a name.
    pub changed: BTreeSet<NetnsId>,
    /// Namespaces that are gone.
    pub gone: BTreeSet<NetnsId>,
    /// Namespaces, processes and mounts that could not be looked at.
    pub skipped: u32,
    /// Namespaces that links lead to and that could not be found.
    pub unknown: usize,
}

impl Changes {
    /// Whether the topology is as it was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.gone.is_empty()
    }
}

impl Watcher {
    /// Starts listening. The topology is empty until the first [`Watcher::refresh`].
    ///
    /// # Errors
    ///
    /// Without the permission to make a network namespace (`CAP_SYS_ADMIN`) and to hear what happens in
    /// all others (`CAP_NET_BROADCAST`).
    pub fn new() -> anyhow::Result<Self> {
        let hub = Hub::new().context(
            "cannot make a network namespace to watch the others from: this needs root \
             (CAP_SYS_ADMIN, and CAP_NET_BROADCAST to hear of them) and room below the sysctl \
             user.max_net_namespaces",
        )?;
        Ok(Self {
            hub,
            records: BTreeMap::new(),
            nsids: HashMap::new(),
            unknown: BTreeSet::new(),
            given: BTreeSet::new(),
            untold: BTreeSet::new(),
            pending: Vec::new(),
            due: BTreeMap::new(),
            stale: BTreeSet::new(),
            all_stale: false,
            buried: Vec::new(),
            gone: BTreeMap::new(),
            naming: Naming::default(),
            topology: Arc::default(),
            now_ns: 0,
            changes: Changes::default(),
        })
    }

    /// The network as it was last seen.
    #[must_use]
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// What is readable when something has changed and [`Watcher::follow`] has work: wait for that,
    /// call it, then clear its readiness. Fails without descriptors to spare, and panics outside a tokio
    /// runtime with I/O.
    pub fn events(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = self.as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is owned by the `AsyncFd`, open, and always the same.
        Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? })
    }

    /// What has urgent data when mounts change and [`Watcher::follow_mounts`] has work: wait for its
    /// priority, call that, then clear its readiness. Fails if `/proc` cannot be read, and panics
    /// outside a tokio runtime with I/O.
    pub fn mounts() -> io::Result<AsyncFd<OwnedFd>> {
        let file = OwnedFd::from(File::open(discover::OWN_MOUNTS)?);
        // SAFETY: the descriptor is owned by the `AsyncFd`, open, and always the same.
        Ok(unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY)? })
    }

    /// Opens a namespace that lives, to do something inside. Drop the file soon: it keeps the
    /// namespace alive.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is not known, gone, or no process or mount leads to it any more.
    pub fn open(&self, netns: NetnsId) -> io::Result<NetnsFile> {
        let record = self.records.get(&netns).ok_or(io::ErrorKind::NotFound)?;
        let file = Entrance::of(netns, record).open()?;
        if self.hub.nsid(&file.fd)? != Some(record.nsid) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }

    /// The way into a namespace that lives.
    #[must_use]
    pub fn entrance(&self, netns: NetnsId) -> Option<Entrance> {
        Some(Entrance::of(netns, self.records.get(&netns)?))
    }

    /// Looks at everything anew: finds namespaces, asks each for its links.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read or the kernel cannot be asked at all. What is missing of single
    /// namespaces is no error.
    pub fn refresh(&mut self, depth: Depth, now_ns: u64) -> anyhow::Result<Changes> {
        self.now_ns = now_ns;
        self.discover(depth)?;
        self.look_at_all();
        self.look()?;
        Ok(self.publish())
    }

    /// Looks at what has changed by what was heard; cheap if nothing has. Errors are those of
    /// [`Watcher::refresh`].
    pub fn follow(&mut self, now_ns: u64) -> anyhow::Result<Changes> {
        self.now_ns = now_ns;
        self.catch_up()?;
        self.look()?;
        Ok(self.publish())
    }

    /// Looks for namespaces that were mounted, and at what else has changed; cheap if there are none.
    /// For whoever hears of mounts: a container engine mounts a namespace before it makes a link to
    /// it. Errors are those of [`Watcher::refresh`].
    pub fn follow_mounts(&mut self, now_ns: u64) -> anyhow::Result<Changes> {
        self.now_ns = now_ns;
        self.catch_up()?;
        let known: BTreeSet<u64> = self.records.values().map(|record| record.inode).collect();
        let mounted = discover::mounted().context("cannot read the own mounts")?;
        if !mounted.is_subset(&known) {
            self.discover(Depth::Quick)?;
        }
        self.look()?;
        Ok(self.publish())
    }

    pub(crate) fn bury(&mut self, netns: NetnsId) {
        if let Some(record) = self.records.remove(&netns) {
            self.all_stale = true;
            self.buried.push((netns, record));
            self.due.remove(&netns);
            self.gone.insert(netns, self.now_ns);
            self.changes.added.remove(&netns);
            self.changes.gone.insert(netns);
        }
    }

    /// Brings the topology to what is known, and says what has changed.
    pub(crate) fn publish(&mut self) -> Changes {
        self.name_containers();
        let mut changes = std::mem::take(&mut self.changes);
        let containers = self.containers();
        let model = |id, record: &NetnsRecord| record.model(id, &self.nsids, &containers);
        let mut updates = BTreeMap::new();
        for (id, record) in self.buried.drain(..) {
            let mut netns = model(id, &record);
            netns.gone = true;
            updates.insert(id, netns);
        }
        for (&id, record) in &self.records {
            if self.all_stale || self.stale.contains(&id) {
                let netns = model(id, record);
                if self.topology.namespaces.get(&id) != Some(&netns) {
                    updates.insert(id, netns);
                }
            }
        }
        self.stale.clear();
        self.all_stale = false;
        let now_ns = self.now_ns;
        let is_expired =
            |_: &NetnsId, gone_ns: &mut u64| now_ns.saturating_sub(*gone_ns) >= GONE_KEPT_NS;
        let expired: Vec<_> = self.gone.extract_if(.., is_expired).collect();
        changes.unknown = self.unknown.len();
        changes.changed = updates.keys().copied().collect();
        changes
            .changed
            .retain(|id| !changes.added.contains(id) && !changes.gone.contains(id));
        if !changes.is_empty() || !expired.is_empty() {
            let namespaces = &mut Arc::make_mut(&mut self.topology).namespaces;
            namespaces.extend(updates);
            for (id, _) in expired {
                namespaces.remove(&id);
            }
        }
        changes
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.hub.events.as_fd()
    }
}
