//! What is kept about a namespace between two looks at it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use crate::host::identity::Identity;
use crate::host::identity::engine::Named;
use crate::host::netns::NetnsFile;
use crate::host::watcher::discover::{FoundNetns, NetnsPath};
use crate::host::watcher::hub::Nsid;
use crate::host::watcher::snapshot;
use crate::host::watcher::snapshot::Devices;
use crate::host::watcher::survey::Look;
use crate::host::{identity, netns};
use crate::model::network::{Netns, NetnsId, Peer};

/// Nobody's number: the kernel has it for namespaces that have none.
const NOBODY: Nsid = -1;

/// What is kept about a namespace besides what the topology says.
#[derive(Debug, Default)]
pub(crate) struct NetnsRecord {
    /// Its number in the hub.
    pub nsid: Nsid,
    /// Inode number of its file.
    pub inode: u64,
    /// Its cookie, where the kernel has them.
    pub cookie: Option<u64>,
    /// Where it was found last.
    pub found: FoundNetns,
    /// Who is in it, or was.
    pub identity: Identity,
    /// When that process was started, clock ticks since boot; `None` where it is not known.
    pub started: Option<u64>,
    /// What the engine calls its container.
    pub named: Option<Named>,
    /// Whether it is the namespace of the host's first process.
    pub init: bool,
    /// Its links as it was last asked for them.
    pub devices: Devices,
    /// What was seen inside.
    pub look: Look,
}

impl NetnsRecord {
    /// Takes in where it was found this time and who is in it. What was known of its inhabitants
    /// stays when they are gone: it is the best name there is. So does its own name, unless that
    /// is among those that were `taken` by others.
    pub fn meet(&mut self, mut found: FoundNetns, taken: &HashSet<String>) {
        let before = self.found.name.take();
        found.name = found.name.or(before.filter(|name| !taken.contains(name)));
        found.pid = self.resident().or(found.pid);
        if let Some(pid) = found.pid {
            self.identify(pid);
        }
        self.found = found;
    }

    /// Takes in what a quick look has found, which has not seen all the places: who is in it, unless
    /// that is known and has not changed.
    pub fn meet_again(&mut self, mut found: FoundNetns) {
        let Some(pid) = self.resident().or(found.pid) else {
            return;
        };
        let is_new = self.found.pid != Some(pid);
        // A process gets into its container's cgroup, and its name, only after it has started.
        if is_new || self.identity.container.is_none() {
            self.identify(pid);
        }
        if is_new {
            let mounts = |place: &NetnsPath| matches!(place, NetnsPath::Mount(..));
            found.places.retain(|place| !mounts(place));
            self.found.places.retain(mounts);
            self.found.places.splice(..0, found.places);
            self.found.pid = Some(pid);
        }
    }

    /// The process that it was named by so far, if that still lives in it: who comes later is a visitor.
    fn resident(&self) -> Option<i32> {
        let pid = self.identity.process.as_ref()?.pid;
        let is_here = netns::linked_inode(format!("/proc/{pid}/ns/net")).ok() == Some(self.inode);
        let is_same = self.started.is_some() && identity::started(pid) == self.started;
        (is_here && is_same).then_some(pid)
    }

    fn identify(&mut self, pid: i32) {
        let started = identity::started(pid);
        let identity = identity::identify(pid);
        let id = |identity: &Identity| Some(identity.container.as_ref()?.id.clone());
        if identity.process.is_some() {
            self.named.take_if(|_| id(&identity) != id(&self.identity));
            self.identity = identity;
            self.started = started;
        }
    }

    /// Drops what is said of other ends and outer packets in a namespace that is gone.
    pub fn forget_peers_in(&mut self, gone: Nsid) {
        for device in self.devices.values_mut() {
            let peers = device.peer.as_mut().map(|(nsid, _)| nsid);
            for nsid in peers.into_iter().chain([&mut device.outer]) {
                if *nsid == Some(gone) {
                    *nsid = Some(NOBODY);
                }
            }
        }
    }

    /// The namespace as the topology has it, given who has which number and which container.
    pub fn model(
        &self,
        id: NetnsId,
        nsids: &HashMap<Nsid, NetnsId>,
        containers: &BTreeMap<String, NetnsId>,
    ) -> Netns {
        let (forwards_ipv4, forwards_ipv6) = snapshot::forwards(&self.devices);
        let mut container = self.identity.container.clone();
        if let Some(container) = &mut container {
            let outer = self.identity.outer.as_ref();
            container.parent = outer.and_then(|outer| containers.get(outer).copied());
            if let Some(named) = self.named.clone() {
                (container.name, container.image) = (named.name, named.image);
                container.pod = container.pod.take().or(named.pod);
                container.pod_name = named.pod_name;
            }
        }
        let links = self.devices.iter().map(|(&ifindex, device)| {
            let mut link = device.link.clone();
            let netns = |nsid: Option<Nsid>| match nsid {
                None => Some(id),
                Some(nsid) => nsids.get(&nsid).copied(),
            };
            link.peer = device.peer.map(|(nsid, ifindex)| Peer {
                netns: netns(nsid),
                ifindex,
            });
            if let Some(tunnel) = &mut link.tunnel {
                tunnel.netns = netns(device.outer);
            }
            (ifindex, link)
        });
        Netns {
            inode: self.inode,
            cookie: self.cookie,
            name: self.found.name.clone(),
            container,
            process: self.identity.process.clone(),
            unit: self.identity.unit.clone(),
            init: self.init,
            gone: false,
            forwards_ipv4,
            forwards_ipv6,
            links: links.collect(),
            inside: self.look.inside.clone(),
            planned: None,
        }
    }
}

/// The way into a namespace, to be gone later and elsewhere without keeping it alive until then.
#[derive(Clone, Debug)]
pub struct Entrance {
    netns: NetnsId,
    /// Inode number of the namespace's file.
    pub inode: u64,
    places: Vec<NetnsPath>,
}

impl Entrance {
    pub(crate) fn of(netns: NetnsId, record: &NetnsRecord) -> Self {
        Self {
            netns,
            inode: record.inode,
            places: record.found.places.clone(),
        }
    }

    /// Opens the namespace if it is still there. Where the kernel has no cookies it can be another
    /// one with the same inode number. Drop the file soon: it keeps the namespace alive.
    ///
    /// # Errors
    ///
    /// `NotFound` if none of the places leads to it any more.
    pub fn open(&self) -> io::Result<NetnsFile> {
        let places = self.places.iter();
        let mut files = places.filter_map(|place| place.open(self.inode).ok());
        let file = files.find(|file| file.id == self.netns);
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::watcher::snapshot::AskedLink;
    use crate::model::network::Tunnel;

    #[test]
    fn a_number_of_the_dead_is_nobodys() {
        let mut device = AskedLink {
            peer: Some((Some(3), 7)),
            outer: Some(3),
            ..AskedLink::default()
        };
        device.link.tunnel = Some(Tunnel::default());
        let mut record = NetnsRecord {
            devices: Devices::from([(2, device)]),
            ..NetnsRecord::default()
        };
        let nsids = HashMap::from([(3, NetnsId(9))]);
        let others = |record: &NetnsRecord| {
            let netns = record.model(NetnsId(8), &nsids, &BTreeMap::new());
            let link = &netns.links[&2];
            (
                link.peer.and_then(|peer| peer.netns),
                link.tunnel.as_ref().and_then(|tunnel| tunnel.netns),
            )
        };
        assert_eq!(others(&record), (Some(NetnsId(9)), Some(NetnsId(9))));
        // The number may be another's by now.
        record.forget_peers_in(3);
        assert_eq!(others(&record), (None, None));
    }
}
