//! Follows the network: hears of its changes, keeps the tc programs on its boundary devices, and looks
//! for the namespaces that events speak of.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::base::clock::monotonic_ns;
use crate::host::watcher::{Changes, Depth, Watcher};
use crate::kernel::attacher::Attacher;
use crate::kernel::hooks::TraceHook;
use crate::kernel::load::LoadOptions;
use crate::kernel::tc;
use crate::model::event::{Event, EventKind};
use crate::model::network::{NetnsId, Topology};

/// How long the start waits for the tc programs to be on their devices. Where many are to have them
/// that takes seconds, and all other programs are at work already. A choice.
const START_WAIT: Duration = Duration::from_secs(1);
/// How long a namespace that could not be found is not looked for again, ns. A choice: a look goes
/// through all of /proc, and events may speak of such a namespace all the time.
const STRANGER_NS: u64 = 5_000_000_000;

/// The network, and the programs on its devices.
pub struct FollowedNetwork {
    /// Who keeps the programs on their devices.
    pub(crate) attacher: Attacher,
    /// The network as it was last seen, and the way into its namespaces.
    pub(crate) watcher: Watcher,
    changes: AsyncFd<OwnedFd>,
    mounts: AsyncFd<OwnedFd>,
    /// What was handed over last.
    told: Option<Arc<Topology>>,
    /// Namespaces that could not be found, and when.
    strangers: HashMap<NetnsId, u64>,
}

impl FollowedNetwork {
    /// Begins to listen, and takes over the programs. Must be called inside a tokio runtime.
    pub fn new(
        ebpf: Ebpf,
        per_device: &[&'static TraceHook],
        options: &LoadOptions,
    ) -> Result<Self> {
        let watcher = Watcher::new()?;
        let changes = watcher
            .events()
            .context("cannot listen for network changes")?;
        let mounts = Watcher::mounts().context("cannot listen for mounts")?;
        Ok(Self {
            attacher: Attacher::start(ebpf, per_device, options)?,
            watcher,
            changes,
            mounts,
            told: None,
            strangers: HashMap::new(),
        })
    }

    /// Looks at everything for the first time; what is found is for [`FollowedNetwork::attach`].
    pub fn look(&mut self) -> Result<Changes> {
        self.watcher.refresh(Depth::Everything, monotonic_ns())
    }

    /// Removes what a killed run has left in any namespace.
    pub fn sweep(&self) {
        for (&netns, known) in &self.watcher.topology().namespaces {
            let swept = self
                .watcher
                .open(netns)
                .and_then(|file| file.run(tc::sweep));
            match swept {
                Ok(0) | Err(_) => {}
                Ok(removed) => log::warn!(
                    "removed {removed} filters that a killed run had left in netns {}",
                    known.inode
                ),
            }
        }
    }

    /// Has the tc programs brought to where they are wanted. One end's change moves the limits of
    /// the other end, in another namespace, so all are looked at; what stays as it is costs nothing.
    pub fn attach(&mut self, changes: &Changes) {
        if !changes.is_empty() {
            self.attacher.ask(&self.watcher);
        }
    }

    /// Waits for the programs to be there, but not for long.
    pub fn wait(&self) {
        self.attacher.wait(START_WAIT);
    }

    /// The network, if it is another one than was told last.
    pub fn news(&mut self) -> Option<Arc<Topology>> {
        let topology = self.watcher.topology();
        let told = self.told.as_ref();
        if told.is_some_and(|told| Arc::ptr_eq(told, topology)) {
            return None;
        }
        self.told = Some(Arc::clone(topology));
        self.told.clone()
    }

    /// Waits until something is heard, and follows it.
    pub async fn changed(&mut self) -> Result<()> {
        tokio::select! {
            biased;
            changed = self.changes.readable() => {
                let mut ready = changed.context("cannot wait for network changes")?;
                let changes = self.watcher.follow(monotonic_ns());
                ready.clear_ready();
                drop(ready);
                self.take(changes);
            }
            mounted = self.mounts.ready(Interest::PRIORITY) => {
                let mut ready = mounted.context("cannot wait for mounts")?;
                // Before the look: what is mounted during it is told again.
                ready.clear_ready();
                drop(ready);
                let changes = self.watcher.follow_mounts(monotonic_ns());
                self.take(changes);
            }
        }
        Ok(())
    }

    /// Follows what was heard by now.
    pub fn follow(&mut self) {
        let changes = self.watcher.follow(monotonic_ns());
        self.take(changes);
    }

    /// Looks for namespaces that nothing was heard of.
    pub fn look_around(&mut self) {
        let changes = self.watcher.refresh(Depth::Normal, monotonic_ns());
        self.take(changes);
    }

    /// Looks inside the namespaces, for what is not heard of.
    pub fn survey(&mut self) {
        let changes = self.watcher.survey(monotonic_ns());
        self.take(changes);
    }

    fn take(&mut self, changes: Result<Changes>) {
        match changes {
            Ok(changes) => self.attach(&changes),
            Err(error) => log::warn!("{error:#}"),
        }
    }

    /// Whether an event speaks of a namespace that is not known and worth a look.
    pub fn names_missing(&mut self, events: &[Event]) -> bool {
        let known = &self.watcher.topology().namespaces;
        let mut is_worth_a_look = false;
        for event in events {
            let netns = match &event.kind {
                EventKind::Packet(packet) => packet.flow.netns,
                EventKind::Retransmit(retransmit) => retransmit.socket.flow.netns,
                _ => continue,
            };
            // What could not be found a moment ago is not there now: a look goes through all of /proc.
            let looked_ns = self.strangers.get(&netns);
            let again = |ns: &u64| event.time_ns.saturating_sub(*ns) >= STRANGER_NS;
            if !known.contains_key(&netns) && looked_ns.is_none_or(again) {
                self.strangers.insert(netns, event.time_ns);
                is_worth_a_look = true;
            }
        }
        is_worth_a_look
    }
}
