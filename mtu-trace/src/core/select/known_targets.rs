//! The targets there are, for the message to a user who asked for one that is not there.

use std::collections::BTreeMap;

use crate::core::select::targets::{Target, TargetKind};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{NetnsId, Topology};

/// Targets named in one message at most. A choice: a terminal's two or three lines.
const MOST_NAMED: usize = 12;
/// Digits of a container's identifier in what engines print (`docker ps`).
const SHORT_ID: usize = 12;

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
        match target.kind {
            TargetKind::Netns if self.is_container(&target.word) => {
                format!("a container has that name: --container {}", target.word)
            }
            TargetKind::Netns => list(
                "network namespaces",
                known.map(|netns| match (&netns.name, netns.init) {
                    (Some(name), _) => format!("{name} ({})", netns.inode),
                    (None, true) => format!("{} (the host)", netns.inode),
                    (None, false) => netns.inode.to_string(),
                }),
            ),
            TargetKind::Container => list(
                "containers",
                known.filter_map(|netns| {
                    let container = netns.container.as_ref()?;
                    let id = container.id.get(..SHORT_ID).unwrap_or(&container.id);
                    let name = container.name.as_ref().or(container.pod_name.as_ref());
                    Some(name.map_or_else(|| id.to_owned(), |name| format!("{name} ({id})")))
                }),
            ),
            TargetKind::Pid => list(
                "processes known by their namespaces",
                known.filter_map(|netns| {
                    let process = netns.process.as_ref()?;
                    Some(format!("{} ({})", process.pid, process.comm))
                }),
            ),
        }
    }

    fn is_container(&self, word: &str) -> bool {
        let mut known = self.0.values().filter_map(|netns| netns.container.as_ref());
        known.any(|container| container.name.as_deref() == Some(word))
    }
}

fn list(what: &str, known: impl Iterator<Item = String>) -> String {
    let known: Vec<String> = known.collect();
    if known.is_empty() {
        return format!("no {what} are known");
    }
    let named = known.len().min(MOST_NAMED);
    let more = known.len() - named;
    let rest = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    format!("the {what} are {}{rest}", known[..named].join(", "))
}
