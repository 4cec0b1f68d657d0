//! The part of the watcher that finds out what engines call the containers it sees.

use std::collections::BTreeMap;

use crate::host::identity::{ContainerNames, Whereabouts};
use crate::host::watcher::Watcher;
use crate::host::{identity, netns};
use crate::model::network::NetnsId;

/// How long the processes of a container are not looked for again, ns: that goes through all there
/// are.
const AGAIN_NS: u64 = 10_000_000_000;

/// What is kept to name containers.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    names: ContainerNames,
    /// Containers that engines run in and that no namespace is known by: those of a pod share the
    /// one of its first.
    engines: BTreeMap<String, EngineHost>,
}

/// A process of a container in which an engine runs.
#[derive(Clone, Copy, Debug)]
struct EngineHost {
    /// The process and the inode number of its namespace; `None` if there was none.
    process: Option<(i32, u64)>,
    looked_ns: u64,
}

impl Watcher {
    /// Names the containers that have no name yet. Those that are already looked for are left alone,
    /// so this costs nothing most of the time.
    pub(crate) fn name_containers(&mut self) {
        let nameless: Vec<_> = self
            .records
            .iter()
            .filter_map(|(&netns, record)| {
                let id = &record.identity.container.as_ref()?.id;
                let is_named = record.named.is_some();
                (!is_named).then(|| (netns, id.clone(), record.identity.clone()))
            })
            .collect();
        for (netns, id, identity) in nameless {
            let engine = identity.engine;
            let outer = identity
                .outer
                .map(|outer| self.engine(&outer, engine).or(engine));
            // One in a container whose processes are not to be found cannot be asked.
            if outer == Some(None) {
                continue;
            }
            let at = Whereabouts {
                process: identity.process.map(|process| process.pid),
                engine,
                outer: outer.flatten(),
            };
            if let Some(named) = self.naming.names.find(&id, &at, self.now_ns)
                && let Some(record) = self.records.get_mut(&netns)
            {
                record.named = Some(named.clone());
                self.stale.insert(netns);
            }
        }
    }

    /// A process of the container in which an engine runs. Most often a process of that engine is
    /// `known`; all are looked through only where none is.
    fn engine(&mut self, id: &str, known: Option<i32>) -> Option<i32> {
        let recorded = self.records.values().find_map(|record| {
            let container = record.identity.container.as_ref()?;
            let process = record.identity.process.as_ref()?;
            (container.id == id).then_some(process.pid)
        });
        if recorded.is_some() {
            return recorded;
        }
        let looked = self
            .naming
            .engines
            .get(id)
            .filter(|engine| self.now_ns.saturating_sub(engine.looked_ns) < AGAIN_NS);
        let process = if let Some(engine) = looked {
            engine.process
        } else {
            let known = known.filter(|pid| identity::is_in(*pid, id));
            let process = known.or_else(|| identity::process_of(id)).and_then(|pid| {
                let inode = netns::linked_inode(format!("/proc/{pid}/ns/net")).ok()?;
                Some((pid, inode))
            });
            let engine = EngineHost {
                process,
                looked_ns: self.now_ns,
            };
            self.naming.engines.insert(id.to_owned(), engine);
            process
        };
        process.map(|(pid, _)| pid)
    }

    /// The namespaces of containers, by identifier.
    pub(crate) fn containers(&self) -> BTreeMap<String, NetnsId> {
        let records = || self.records.iter();
        let by_inode: BTreeMap<u64, NetnsId> = records()
            .map(|(&netns, record)| (record.inode, netns))
            .collect();
        let engines = self.naming.engines.iter().filter_map(|(id, engine)| {
            let (_, inode) = engine.process?;
            Some((id.clone(), *by_inode.get(&inode)?))
        });
        let own = records().filter_map(|(&netns, record)| {
            let container = record.identity.container.as_ref()?;
            Some((container.id.clone(), netns))
        });
        engines.chain(own).collect()
    }
}
