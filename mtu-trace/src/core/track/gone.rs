//! The namespaces that are gone, for as long as findings tell of them: whatever becomes of the network, a
//! place keeps its name.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::track::connection::{Connection, TrackedSocket};
use crate::core::track::direction::{SiteDrops, Track};
use crate::core::track::state::State;
use crate::model::event::Device;
use crate::model::network::{NetnsId, Topology};
use crate::model::store::Store;

/// Containers in containers whose names are kept with them. A choice, as deep as names go.
const MOST_AROUND: usize = 8;

impl State {
    /// The network as it is told, with the namespaces that it no longer has and that something lost in
    /// them still tells of. The newest are kept where they are too many.
    pub(crate) fn with_gone(&mut self, told: &Arc<Topology>) -> Arc<Topology> {
        let before = Arc::clone(&self.topology);
        let is_gone = |id: &NetnsId| !told.namespaces.contains_key(id);
        if !before.namespaces.keys().any(is_gone) {
            return Arc::clone(told);
        }
        let mut kept = self.told_of(&before);
        kept.retain(|id| is_gone(id) && before.namespaces.contains_key(id));
        let most = self.evictions.bound(Store::Namespaces);
        while kept.len() > most && kept.pop_first().is_some() {
            self.evictions.add(Store::Namespaces, 1);
        }
        if kept.is_empty() {
            return Arc::clone(told);
        }
        let mut topology = Topology::clone(told);
        for id in kept {
            if let Some(netns) = before.namespaces.get(&id) {
                let mut netns = netns.clone();
                netns.gone = true;
                topology.namespaces.insert(id, netns);
            }
        }
        Arc::new(topology)
    }

    /// The namespaces that findings may tell of, and those of the containers around them.
    fn told_of(&self, topology: &Topology) -> BTreeSet<NetnsId> {
        let mut told = BTreeSet::new();
        for id in self.ailing() {
            let connection = self.get(id).filter(|it| may_be_found(it));
            told.extend(connection.into_iter().flat_map(namespaces));
        }
        let mut inner = told.clone();
        for _ in 0..MOST_AROUND {
            let around = inner.iter().filter_map(|id| {
                let container = topology.namespaces.get(id)?.container.as_ref()?;
                container.parent.filter(|parent| !told.contains(parent))
            });
            inner = around.collect();
            told.extend(&inner);
        }
        told
    }
}

/// Whether there may be a finding about it.
fn may_be_found(connection: &Connection) -> bool {
    connection.ends.iter().any(TrackedSocket::waits) || connection.tracks().any(Track::has_losses)
}

/// Where its sockets are, and where something was seen of it.
fn namespaces(connection: &Connection) -> impl Iterator<Item = NetnsId> + '_ {
    let ends = connection.ends.iter().map(|end| end.socket.flow.netns);
    let seen = connection.seen_as.iter().map(|flow| flow.netns);
    ends.chain(seen).chain(connection.tracks().flat_map(places))
}

/// Where something was lost, or seen, in a direction.
fn places(track: &Track) -> impl Iterator<Item = NetnsId> + '_ {
    let sites = track.oversized.values().chain(&track.passing);
    let others = track.other.iter();
    let others = others.flat_map(|(key, drops)| {
        let device = drops.device.as_ref().map(|device| device.netns);
        [key.netns].into_iter().chain(device)
    });
    let blocked = track.icmp.blocked.iter();
    let blocked = blocked.flat_map(|it| {
        let device = it.device.as_ref().map(|device| device.netns);
        [it.netns].into_iter().chain(device)
    });
    let seen = track.seen.keys().chain(track.icmp.seen.keys());
    let sites = sites.flat_map(|drops| site(drops));
    sites
        .chain(others)
        .chain(blocked)
        .chain(seen.map(|(netns, ..)| *netns))
}

fn site(drops: &SiteDrops) -> impl Iterator<Item = NetnsId> + '_ {
    let site = &drops.site;
    let devices = [
        site.ingress.as_ref(),
        site.egress.as_ref(),
        site.peer.as_ref(),
    ];
    let of = |device: &Device| device.netns;
    let devices = devices.into_iter().flatten().map(of);
    [site.key.netns].into_iter().chain(devices)
}
