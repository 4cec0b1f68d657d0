//! Keeps the topology up to date: by a full look now and then, and by what is heard in between.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use anyhow::Context;
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    discover::{self, Depth},
    entrance::Entrance,
    hub::{Hub, Nsid},
    model::{NetnsId, Topology},
    naming::Naming,
    netns::NetnsFile,
    notice::{Notice, What},
    record::Record,
    snapshot::{self, Device, Due},
};

/// How long a namespace that is gone stays in the topology, for events that still speak of it.
const GONE_KEPT_NS: u64 = 60_000_000_000;
/// A look at one namespace may lead to another, and from there to a third: how often to go on
/// within one call.
pub(super) const MAX_ROUNDS: u32 = 4;
/// How closely to look when notices were lost: whoever is not found then is taken for dead.
pub(super) const AFTER_LOSS: Depth = Depth::Everything;

/// Watches the host's namespaces and links.
///
/// It holds no namespace but its own: what it watches comes and goes as if it were not there.
pub struct Watcher {
    pub(super) hub: Hub,
    /// The namespaces that live, by identity.
    pub(super) records: BTreeMap<NetnsId, Record>,
    /// Who has which number. Whoever dies loses it here when the hub says so.
    pub(super) nsids: HashMap<Nsid, NetnsId>,
    /// Numbers of namespaces that links lead to and that could not be found.
    pub(super) unknown: BTreeSet<Nsid>,
    /// Numbers that somebody has by what was heard.
    pub(super) given: BTreeSet<Nsid>,
    /// Numbers that were given to another before the death of the former owner was told.
    untold: BTreeSet<Nsid>,
    /// What was heard and not yet taken in.
    pub(super) pending: Vec<Notice>,
    /// What was heard of namespaces and has not been looked at since.
    pub(super) due: BTreeMap<NetnsId, Due>,
    /// Namespaces of which the topology may say something old, and whether all may be: what is said
    /// of one namespace can depend on another.
    pub(super) stale: BTreeSet<NetnsId>,
    pub(super) all_stale: bool,
    /// What was known of those that died, until it is published.
    buried: Vec<(NetnsId, Record)>,
    /// When the ones that are gone went, ns of `CLOCK_MONOTONIC`.
    pub(super) gone: BTreeMap<NetnsId, u64>,
    pub(super) naming: Naming,
    topology: Arc<Topology>,
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

/// What was heard and needs more than a look at the namespaces concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    /// Nothing else.
    Known,
    /// Something from a namespace that has not been found.
    Unknown,
    /// So much that some of it was lost: anything may have changed.
    Lost,
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
        })
    }

    /// The network as it was last seen.
    #[must_use]
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// A descriptor that is readable when something has changed and [`Watcher::follow`] has work.
    #[must_use]
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.hub.events_fd()
    }

    /// The same for tokio: wait until it is readable, call [`Watcher::follow`], then clear its
    /// readiness.
    ///
    /// # Errors
    ///
    /// Without descriptors to spare.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O.
    pub fn events(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = self.events_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is owned by the `AsyncFd`, open, and always the same.
        Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? })
    }

    /// What has urgent data when mounts change and [`Watcher::follow_mounts`] has work: wait for its
    /// priority, call that, then clear its readiness.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O.
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
        if self.hub.nsid(file.as_fd())? == Some(record.nsid) {
            Ok(file)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// The way into a namespace that lives.
    #[must_use]
    pub fn entrance(&self, netns: NetnsId) -> Option<Entrance> {
        Some(Entrance::of(netns, self.records.get(&netns)?))
    }

    /// Looks at everything anew: finds namespaces, asks each for its links. `now_ns` is the time by
    /// `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read or the kernel cannot be asked at all. What is missing of single
    /// namespaces is no error.
    pub fn refresh(&mut self, depth: Depth, now_ns: u64) -> anyhow::Result<Changes> {
        let mut changes = Changes::default();
        self.discover(depth, now_ns, &mut changes)?;
        self.look_at_all();
        self.look(now_ns, &mut changes)?;
        self.publish(now_ns, &mut changes);
        Ok(changes)
    }

    /// Looks at what has changed by what was heard; cheap if nothing has. `now_ns` is the time by
    /// `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// As with [`Watcher::refresh`].
    pub fn follow(&mut self, now_ns: u64) -> anyhow::Result<Changes> {
        let mut changes = Changes::default();
        self.catch_up(now_ns, &mut changes)?;
        self.look(now_ns, &mut changes)?;
        self.publish(now_ns, &mut changes);
        Ok(changes)
    }

    /// Looks for namespaces that were mounted, and at what else has changed; cheap if there are none.
    /// For whoever hears of mounts: a container engine mounts a namespace before it makes a link to
    /// it. `now_ns` is the time by `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// As with [`Watcher::refresh`].
    pub fn follow_mounts(&mut self, now_ns: u64) -> anyhow::Result<Changes> {
        let mut changes = Changes::default();
        self.catch_up(now_ns, &mut changes)?;
        let known: BTreeSet<u64> = self.records.values().map(|record| record.inode).collect();
        let mounted = discover::mounted().context("cannot read the own mounts")?;
        if !mounted.is_subset(&known) {
            self.discover(Depth::Quick, now_ns, &mut changes)?;
        }
        self.look(now_ns, &mut changes)?;
        self.publish(now_ns, &mut changes);
        Ok(changes)
    }

    /// Takes in what has been heard, and finds the namespaces it is about.
    fn catch_up(&mut self, now_ns: u64, changes: &mut Changes) -> anyhow::Result<()> {
        match self.hear(now_ns, changes)? {
            Heard::Known => Ok(()),
            Heard::Unknown => self.discover(Depth::Quick, now_ns, changes),
            Heard::Lost => self.discover(AFTER_LOSS, now_ns, changes),
        }
    }

    /// Reads what there is to hear, to be taken in later.
    pub(super) fn listen(&mut self) -> anyhow::Result<()> {
        let pending = &mut self.pending;
        self.hub
            .notices(|notice| pending.push(notice))
            .context("cannot read notifications of network changes")
    }

    /// Takes in what has been heard: who is to be looked at, and who has died.
    pub(super) fn hear(&mut self, now_ns: u64, changes: &mut Changes) -> anyhow::Result<Heard> {
        self.listen()?;
        let mut stirred: BTreeMap<Nsid, Due> = BTreeMap::new();
        let mut died = Vec::new();
        let mut lost = false;
        for notice in std::mem::take(&mut self.pending) {
            match notice {
                Notice::Changed { nsid, what } => stirred.entry(nsid).or_default().add(what),
                Notice::Given { nsid } => {
                    // The kernel frees a number a moment before it tells (`unhash_nsid`).
                    if !self.given.insert(nsid) {
                        self.untold.insert(nsid);
                        stirred.remove(&nsid);
                        died.push(nsid);
                    }
                }
                Notice::Died { nsid } => {
                    if self.untold.remove(&nsid) && self.hub.is_alive(nsid) {
                        continue;
                    }
                    self.given.remove(&nsid);
                    // What was heard before came from the one that died.
                    stirred.remove(&nsid);
                    died.push(nsid);
                }
                Notice::Lost => lost = true,
            }
        }
        for nsid in died {
            self.unknown.remove(&nsid);
            if let Some(netns) = self.nsids.remove(&nsid) {
                self.bury(netns, now_ns, changes);
            }
            // The number is free for another namespace, which is nobody's other end yet.
            for record in self.records.values_mut() {
                record.forget_peers_in(nsid);
            }
        }
        if lost {
            log::warn!("more network changes than could be read: looking at everything again");
            // A death may have been missed and the number given to another: believe none.
            self.nsids.clear();
            self.unknown.clear();
            self.given.clear();
            self.untold.clear();
            self.look_at_all();
            return Ok(Heard::Lost);
        }
        let mut heard = Heard::Known;
        for (nsid, due) in stirred {
            if let Some(&netns) = self.nsids.get(&nsid) {
                self.due.entry(netns).or_default().merge(due);
            } else {
                // It could not be found before, but perhaps now that something stirs in it.
                heard = Heard::Unknown;
            }
        }
        Ok(heard)
    }

    pub(super) fn look_at_all(&mut self) {
        let all = self.records.keys().map(|&netns| (netns, Due::all()));
        self.due.extend(all);
    }

    pub(super) fn bury(&mut self, netns: NetnsId, now_ns: u64, changes: &mut Changes) {
        if let Some(record) = self.records.remove(&netns) {
            self.all_stale = true;
            self.buried.push((netns, record));
            self.due.remove(&netns);
            self.gone.insert(netns, now_ns);
            changes.added.remove(&netns);
            changes.gone.insert(netns);
        }
    }

    /// Asks the namespaces that are due for their devices, and those that are found on the way.
    pub(super) fn look(&mut self, now_ns: u64, changes: &mut Changes) -> anyhow::Result<()> {
        for _ in 0..MAX_ROUNDS {
            let mut leads = BTreeSet::new();
            for (netns, due) in std::mem::take(&mut self.due) {
                self.look_at(netns, &due, now_ns, changes, &mut leads)?;
            }
            leads.retain(|nsid| !self.unknown.contains(nsid));
            // First where it is likely, then everywhere.
            for depth in [Depth::Quick, Depth::Normal, Depth::Everything] {
                leads.retain(|nsid| !self.nsids.contains_key(nsid));
                if !leads.is_empty() {
                    self.discover(depth, now_ns, changes)?;
                }
            }
            leads.retain(|nsid| !self.nsids.contains_key(nsid));
            self.unknown.append(&mut leads);
            self.catch_up(now_ns, changes)?;
            if self.due.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        netns: NetnsId,
        due: &Due,
        now_ns: u64,
        changes: &mut Changes,
        leads: &mut BTreeSet<Nsid>,
    ) -> anyhow::Result<()> {
        let Some(record) = self.records.get(&netns) else {
            return Ok(());
        };
        let nsid = record.nsid;
        let asked = snapshot::ask(&self.hub, nsid, due, &record.devices);
        // Looking at another one may have given the number of this one, dead since the last time
        // something was heard, to a third, which has answered in its place.
        self.listen()?;
        if self.nsids.get(&nsid) != Some(&netns) {
            return Ok(());
        }
        if self.pending.iter().any(|it| it.ends(nsid)) {
            // Whether it is dead is seen when that is taken in.
            self.due.entry(netns).or_default().merge(due.clone());
            return Ok(());
        }
        let Some(record) = self.records.get_mut(&netns) else {
            return Ok(());
        };
        let different = match asked {
            Ok(different) => different,
            Err(_) if !self.hub.is_alive(nsid) => {
                self.nsids.remove(&nsid);
                self.bury(netns, now_ns, changes);
                return Ok(());
            }
            Err(error) => {
                log::debug!("cannot look at netns {}: {error}", record.inode);
                changes.skipped += 1;
                return Ok(());
            }
        };
        if different.is_empty() {
            return Ok(());
        }
        let ends = |nsid| self.given.contains(&nsid) && self.pending.iter().any(|it| it.ends(nsid));
        if different
            .values()
            .flatten()
            .any(|device| device.leads().is_some_and(ends))
        {
            // The other end is in one that has such a number: this is to be seen after its former
            // owner's end is.
            self.due.entry(netns).or_default().merge(due.clone());
            return Ok(());
        }
        self.stale.insert(netns);
        // Routes vanish with links and addresses, not all of them told.
        record.look.due = true;
        // The other ends of what has changed may need a look too: a veth is not told when its other
        // end moves to another namespace.
        let mut others = Vec::new();
        for (ifindex, new) in different {
            let is = new.as_ref().and_then(|device| device.peer);
            leads.extend(new.as_ref().and_then(Device::leads));
            let old = match new {
                Some(device) => record.devices.insert(ifindex, device),
                None => record.devices.remove(&ifindex),
            };
            let was = old.and_then(|device| device.peer);
            if was != is {
                others.extend(was);
                others.extend(is);
            }
        }
        for (other, ifindex) in others {
            let other = match other {
                None => Some(netns),
                Some(nsid) => self.nsids.get(&nsid).copied(),
            };
            if let Some(other) = other
                && self.records.contains_key(&other)
            {
                self.due.entry(other).or_default().add(What::Link(ifindex));
            }
        }
        Ok(())
    }

    /// Brings the topology to what is known, and says what that changed.
    pub(super) fn publish(&mut self, now_ns: u64, changes: &mut Changes) {
        self.name_containers(now_ns);
        let containers = self.containers();
        let mut updates = BTreeMap::new();
        for (id, record) in &self.buried {
            let mut netns = record.model(*id, &self.nsids, &containers);
            netns.gone = true;
            updates.insert(*id, netns);
        }
        for (&id, record) in &self.records {
            if !self.all_stale && !self.stale.contains(&id) {
                continue;
            }
            let netns = record.model(id, &self.nsids, &containers);
            if self.topology.namespaces.get(&id) != Some(&netns) {
                updates.insert(id, netns);
            }
        }
        self.buried.clear();
        self.stale.clear();
        self.all_stale = false;
        let expired: Vec<NetnsId> = self
            .gone
            .iter()
            .filter(|&(_, &gone_ns)| now_ns.saturating_sub(gone_ns) >= GONE_KEPT_NS)
            .map(|(&id, _)| id)
            .collect();
        changes.unknown = self.unknown.len();
        changes.changed = updates
            .keys()
            .copied()
            .filter(|id| !changes.added.contains(id) && !changes.gone.contains(id))
            .collect();
        if changes.is_empty() && expired.is_empty() {
            return;
        }
        let topology = Arc::make_mut(&mut self.topology);
        topology.namespaces.extend(updates);
        for id in expired {
            self.gone.remove(&id);
            topology.namespaces.remove(&id);
        }
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events_fd()
    }
}
