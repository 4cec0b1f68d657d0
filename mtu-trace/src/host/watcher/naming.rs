//! The part of the watcher that finds out what engines call the containers it sees.

use std::collections::BTreeMap;
use std::fs;

use crate::host::identity::{ContainerNames, Whereabouts};
use crate::host::watcher::Watcher;
use crate::host::{identity, mounts};
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
    /// ContainerNames the containers that have no name yet. Those that are already looked for are left alone,
    /// so this costs nothing most of the time.
    pub(crate) fn name_containers(&mut self, now_ns: u64) {
        let nameless: Vec<_> = self
            .records
            .iter()
            .filter_map(|(&netns, record)| {
                let container = record.identity.container.as_ref()?;
                let is_named = record
                    .named
                    .as_ref()
                    .is_some_and(|(id, _)| *id == container.id);
                (!is_named).then(|| (netns, container.id.clone(), record.identity.clone()))
            })
            .collect();
        for (netns, id, identity) in nameless {
            let outer = match identity.outer {
                None => None,
                Some(outer) => {
                    let process = self
                        .engine(&outer, identity.engine, now_ns)
                        .map(|(process, _)| process);
                    match process.or(identity.engine) {
                        None => continue,
                        process => process,
                    }
                }
            };
            let at = Whereabouts {
                process: identity.process.map(|process| process.pid),
                engine: identity.engine,
                outer,
            };
            if let Some(named) = self.naming.names.find(&id, &at, now_ns)
                && let Some(record) = self.records.get_mut(&netns)
            {
                record.named = Some((id, named.clone()));
                self.stale.insert(netns);
            }
        }
    }

    /// A process of the container in which an engine runs, and the inode number of its namespace. Most
    /// often a process of that engine is `known`; all are looked through only where none is.
    fn engine(&mut self, id: &str, known: Option<i32>, now_ns: u64) -> Option<(i32, u64)> {
        let recorded = self.records.values().find_map(|record| {
            let container = record.identity.container.as_ref()?;
            let process = record.identity.process.as_ref()?;
            (container.id == id).then_some((process.pid, record.inode))
        });
        if recorded.is_some() {
            return recorded;
        }
        if let Some(engine) = self.naming.engines.get(id)
            && now_ns.saturating_sub(engine.looked_ns) < AGAIN_NS
        {
            return engine.process;
        }
        let known = known.filter(|pid| identity::is_in(*pid, id));
        let process = known.or_else(|| identity::process_of(id));
        let process = process.and_then(|pid| {
            let link = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
            let inode = mounts::net_inode(link.as_os_str().as_encoded_bytes())?;
            Some((pid, inode))
        });
        let engine = EngineHost {
            process,
            looked_ns: now_ns,
        };
        self.naming.engines.insert(id.to_owned(), engine);
        process
    }

    /// The namespaces of containers, by identifier.
    pub(crate) fn containers(&self) -> BTreeMap<String, NetnsId> {
        let by_inode: BTreeMap<u64, NetnsId> = self
            .records
            .iter()
            .map(|(&netns, record)| (record.inode, netns))
            .collect();
        let engines = self.naming.engines.iter().filter_map(|(id, engine)| {
            let (_, inode) = engine.process?;
            Some((id.clone(), *by_inode.get(&inode)?))
        });
        let own = self.records.iter().filter_map(|(&netns, record)| {
            let container = record.identity.container.as_ref()?;
            Some((container.id.clone(), netns))
        });
        engines.chain(own).collect()
    }
}
