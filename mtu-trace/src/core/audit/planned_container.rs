//! Containers that are not there yet. Docker-in-Docker is checked before the first build, when the inner
//! engine has a bridge with nothing on it: so one container is thought of on each such bridge, with what
//! its engine would give it, and its ways are followed as if it were there, one at a time.
//!
//! What is found that way is told only if that container is the end to change, and apart from what is
//! found of those that are there, which does not depend on it.
//!
//! Only engines that are known are thought for: what an empty bridge itself has tells little. Docker
//! before 25 (2023) left it at 1500 whatever its network's MTU was; newer ones set it (moby, PR 46849).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::core::graph::Path;
use crate::core::sites::netns_label;
use crate::model::engine::{Dockerd, MtuFrom};
use crate::model::network::{
    Address, Inside, Link, LinkKind, Netns, NetnsId, Peer, PlannedContainer, Route, Topology,
};

/// What its interface is called by its engine.
const INTERFACE: &str = "eth0";
/// Its index: there is a loopback before it.
const IFINDEX: u32 = 2;
/// The other end's name begins like this, and ends with what nobody knows yet.
const PORT: &str = "veth*";
/// `ETH_DATA_LEN`: the MTU of a bridge without ports, unless another was set (`br_mtu_min`).
const EMPTY_BRIDGE_BYTES: u32 = 1500;
/// Addresses tried before a network is taken to be full.
const MOST_TRIED: usize = 256;

/// The network with a container on every engine's empty bridge.
#[derive(Clone, Debug, Default)]
pub struct PlannedNetwork {
    /// The network with them.
    pub topology: Arc<Topology>,
    /// Empty bridges on which none is thought of, because engines disagree on its MTU.
    pub disagreed: usize,
    /// The engine of each.
    pub(crate) engines: BTreeMap<NetnsId, Dockerd>,
}

impl PlannedNetwork {
    /// Thinks of a container on the empty bridge of each of these engines.
    pub fn new(topology: &Topology, engines: &[Dockerd]) -> Self {
        let mut planned = Self {
            topology: Arc::new(topology.clone()),
            ..Self::default()
        };
        // Two engines do not share a bridge; a process and its copy do, and say the same.
        let mut bridges: BTreeMap<(NetnsId, &str), Vec<&Dockerd>> = BTreeMap::new();
        for engine in engines {
            let mut known = topology.living();
            if let Some((netns, _)) = known.find(|(_, it)| it.inode == engine.netns_inode) {
                let same = bridges.entry((netns, &engine.bridge)).or_default();
                same.push(engine);
            }
        }
        for ((host, _), same) in bridges {
            let [engine, others @ ..] = same.as_slice() else {
                continue;
            };
            let Some(bridge) = planned.empty_bridge(host, engine) else {
                continue;
            };
            let mut others = others.iter();
            if others.all(|other| other.mtu_bytes == engine.mtu_bytes) {
                // Without room for it there is none.
                let _container = planned.add(host, &bridge, engine);
            } else {
                planned.disagreed += 1;
            }
        }
        planned
    }

    /// The bridge of an engine, if nothing is on it and a container can be put there.
    fn empty_bridge(&self, host: NetnsId, engine: &Dockerd) -> Option<EmptyBridge> {
        let netns = self.topology.namespaces.get(&host)?;
        let is_bridge = |link: &Link| link.kind == LinkKind::Bridge && link.name == engine.bridge;
        let (&ifindex, bridge) = netns.links.iter().find(|(_, link)| is_bridge(link))?;
        let mut links = netns.links.values();
        if !bridge.up || links.any(|link| link.master == Some(ifindex)) {
            return None;
        }
        let homes = homes(&self.topology, netns, bridge);
        (!homes.is_empty()).then_some(EmptyBridge { ifindex, homes })
    }

    /// Puts a container there.
    fn add(&mut self, host: NetnsId, bridge: &EmptyBridge, engine: &Dockerd) -> Option<()> {
        let known = &self.topology.namespaces;
        let port = known.get(&host)?.links.keys().last()?.checked_add(1)?;
        // An identity that no namespace has: the highest, which the kernel gives last.
        let mut from_the_top = (1..=u64::MAX).rev().map(NetnsId);
        let id = from_the_top.find(|id| !known.contains_key(id))?;
        let topology = Arc::make_mut(&mut self.topology);
        let links = &mut topology.namespaces.get_mut(&host)?.links;
        let other_end = Link {
            name: PORT.to_owned(),
            master: Some(bridge.ifindex),
            ..interface(engine.mtu_bytes, id, IFINDEX)
        };
        links.insert(port, other_end);
        if let Some(bridge) = links.get_mut(&bridge.ifindex)
            && bridge.mtu_bytes == EMPTY_BRIDGE_BYTES
        {
            // It follows its smallest port (`br_mtu_auto_adjust`). One that was set stays.
            bridge.mtu_bytes = engine.mtu_bytes;
        }
        let container = container(host, engine, port, &bridge.homes);
        topology.namespaces.insert(id, container);
        self.engines.insert(id, engine.clone());
        Some(())
    }
}

/// Where a container can be: the index of a bridge, and what it can be called there.
#[derive(Clone, Debug)]
struct EmptyBridge {
    ifindex: u32,
    homes: Vec<Home>,
}

/// An address for a container, and the address of the bridge, its router.
#[derive(Clone, Copy, Debug)]
struct Home {
    own: Address,
    router: IpAddr,
}

/// One home for each family in which a bridge has an address.
fn homes(topology: &Topology, netns: &Netns, bridge: &Link) -> Vec<Home> {
    let home = |ipv6: bool| {
        let mut addresses = bridge.global_addresses();
        let router = addresses.find(|own| own.address.is_ipv6() == ipv6)?;
        Some(Home {
            own: Address {
                address: vacant(topology, netns, *router)?,
                prefix_len: router.prefix_len,
            },
            router: router.address,
        })
    };
    [false, true].into_iter().filter_map(home).collect()
}

/// The first address of a network that nobody has: nobody at all, else nobody where the bridge is.
fn vacant(topology: &Topology, netns: &Netns, network: Address) -> Option<IpAddr> {
    let there = topology.living().map(|(_, netns)| netns);
    let everywhere: Vec<&Netns> = there.filter(|netns| netns.planned.is_none()).collect();
    let free = |within: &[&Netns]| {
        let is_free = |address: &IpAddr| within.iter().all(|it| it.owner(*address).is_none());
        hosts(network).find(is_free)
    };
    free(&everywhere).or_else(|| free(&[netns]))
}

/// The first addresses of a network that are a host's.
fn hosts(network: Address) -> impl Iterator<Item = IpAddr> {
    let Address {
        address,
        prefix_len,
    } = network;
    let network = IpNet::new(address, prefix_len).unwrap_or_else(|_| address.into());
    // The first and the last are nobody's, but for networks of two (RFC 3021, RFC 6164).
    let is_small = network.max_prefix_len() - network.prefix_len() < 2;
    let ends = [network.network(), network.broadcast()];
    let hosts = network.hosts();
    let hosts = hosts.filter(move |host| is_small || !ends.contains(host));
    hosts.take(MOST_TRIED)
}

/// The namespace that a container would have.
fn container(parent: NetnsId, engine: &Dockerd, port: u32, homes: &[Home]) -> Netns {
    let link = Link {
        name: INTERFACE.to_owned(),
        addresses: homes.iter().map(|home| home.own).collect(),
        ..interface(engine.mtu_bytes, parent, port)
    };
    let routes = homes.iter().flat_map(|home| {
        let unspecified: IpAddr = match home.router {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let anywhere = Address {
            address: unspecified,
            prefix_len: 0,
        };
        [
            Route::plain(home.own, None, IFINDEX),
            Route::plain(anywhere, Some(home.router), IFINDEX),
        ]
    });
    Netns {
        links: BTreeMap::from([(IFINDEX, link)]),
        // The settings of a new namespace are the kernel's defaults.
        inside: Some(Arc::new(Inside {
            routes: routes.collect(),
            ..Inside::default()
        })),
        planned: Some(PlannedContainer {
            bridge: engine.bridge.clone(),
            parent,
        }),
        ..Netns::default()
    }
}

/// One end of its veth, as far as both are the same.
fn interface(mtu_bytes: u32, netns: NetnsId, ifindex: u32) -> Link {
    Link {
        peer: Some(Peer {
            netns: Some(netns),
            ifindex,
        }),
        kind: LinkKind::Veth,
        mtu_bytes,
        up: true,
        carrier: true,
        ..Link::default()
    }
}

/// Whether a namespace is only thought of.
pub fn is_planned(topology: &Topology, netns: NetnsId) -> bool {
    let known = topology.namespaces.get(&netns);
    known.is_some_and(|netns| netns.planned.is_some())
}

/// Whether a link leads to such a one.
pub fn leads_to_planned(topology: &Topology, link: &Link) -> bool {
    let other = link.peer_id().filter(|_| link.is_pair());
    other.is_some_and(|other| is_planned(topology, other.netns))
}

/// The ends of a way that are only thought of.
pub fn planned_ends<'a>(topology: &'a Topology, path: &Path) -> impl Iterator<Item = NetnsId> + 'a {
    let ends = path.from.into_iter().chain(path.to);
    ends.filter(|end| is_planned(topology, *end))
}

/// What is known of a container that is not there.
pub fn note(topology: &Topology, netns: NetnsId, engine: &Dockerd) -> Option<String> {
    let planned = topology.namespaces.get(&netns)?.planned.as_ref()?;
    let parent = netns_label(planned.parent, topology);
    let from = match &engine.mtu_from {
        MtuFrom::Flag => "as its --mtu says".to_owned(),
        MtuFrom::Settings(path) => format!("as its {path} says"),
        MtuFrom::Default => "by default, since nobody has told it otherwise".to_owned(),
    };
    Some(format!(
        "no container is on {} of {parent} yet: the engine there, dockerd (pid {}), would give a new \
         one an MTU of {}, {from}",
        planned.bridge, engine.pid, engine.mtu_bytes
    ))
}
