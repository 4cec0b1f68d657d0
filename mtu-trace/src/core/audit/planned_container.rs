//! Containers that are not there yet. Docker-in-Docker is checked before the first build, when the inner
//! engine has a bridge with nothing on it: so one container is thought of on each such bridge, with what
//! its engine would give it, and its ways are followed as if it were there, one at a time. Pure.
//!
//! What is found that way is told only if that container is the end to change, and apart from what is
//! found of those that are there, which does not depend on it.
//!
//! Only engines that are known are thought for: what an empty bridge itself has tells little. Docker
//! before 25 (2023) left it at 1500 whatever its network's MTU was; newer ones set it (moby, PR 46849).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::core::graph::Path;
use crate::model::engine::{Dockerd, MtuFrom};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{
    Address, Guest, Inside, Link, LinkKind, Netns, NetnsId, NextHop, Peer, Route, RouteKind,
    Topology,
};

/// What its interface is called by its engine.
const INTERFACE: &str = "eth0";
/// Its index: there is a loopback before it.
const IFINDEX: u32 = 2;
/// The other end's name begins like this, and ends with what nobody knows yet.
const PORT: &str = "veth*";
/// `ETH_DATA_LEN`: the MTU of a bridge without ports, unless another was set (`br_mtu_min`).
const EMPTY_BRIDGE_BYTES: u32 = 1500;
/// Number of the main table (`RT_TABLE_MAIN`).
const MAIN: u32 = 254;
/// Addresses tried before a network is taken to be full.
const MOST_TRIED: u128 = 256;

/// The network with a container on every engine's empty bridge.
#[derive(Clone, Debug, Default)]
pub struct Prospect {
    /// The network with them.
    pub topology: Arc<Topology>,
    /// Empty bridges on which none is thought of, because engines disagree on its MTU.
    pub disagreed: usize,
    /// The engine of each.
    pub(crate) engines: BTreeMap<NetnsId, Dockerd>,
}

impl Prospect {
    /// Thinks of a container on the empty bridge of each of these engines.
    #[must_use]
    pub fn new(topology: &Topology, engines: &[Dockerd]) -> Self {
        let mut prospect = Self {
            topology: Arc::new(topology.clone()),
            disagreed: 0,
            engines: BTreeMap::new(),
        };
        let netns_of = |engine: &Dockerd| {
            let mut known = topology.living();
            known.find(|(_, netns)| netns.inode == engine.netns_inode)
        };
        // Two engines do not share a bridge; a process and its copy do, and say the same.
        let mut bridges: BTreeMap<(NetnsId, &str), Vec<&Dockerd>> = BTreeMap::new();
        for engine in engines {
            if let Some((netns, _)) = netns_of(engine) {
                let same = bridges.entry((netns, &engine.bridge)).or_default();
                same.push(engine);
            }
        }
        for ((netns, bridge), same) in bridges {
            let [engine, others @ ..] = same.as_slice() else {
                continue;
            };
            let Some(place) = prospect.place(netns, bridge) else {
                continue;
            };
            let mut others = others.iter();
            if others.all(|other| other.mtu_bytes == engine.mtu_bytes) {
                // Without room for it there is none.
                let _guest = prospect.invite(netns, &place, engine);
            } else {
                prospect.disagreed += 1;
            }
        }
        prospect
    }

    /// The place on a bridge of this name, if nothing is on it and a container can be put there.
    fn place(&self, host: NetnsId, bridge: &str) -> Option<Place> {
        let netns = self.topology.namespaces.get(&host)?;
        let (&bridge, known) = netns
            .links
            .iter()
            .find(|(_, link)| link.kind == LinkKind::Bridge && link.name == bridge)?;
        let mut links = netns.links.values();
        if !known.up || links.any(|link| link.master == Some(bridge)) {
            return None;
        }
        let homes = homes(&self.topology, netns, known);
        (!homes.is_empty()).then_some(Place { bridge, homes })
    }

    /// Puts a container there.
    fn invite(&mut self, host: NetnsId, place: &Place, engine: &Dockerd) -> Option<()> {
        let netns = self.topology.namespaces.get(&host)?;
        let id = self.free()?;
        let port = netns.links.keys().last()?.checked_add(1)?;
        let guest = guest(host, engine, port, &place.homes);
        let other_end = Link {
            name: PORT.to_owned(),
            master: Some(place.bridge),
            addresses: Vec::new(),
            peer: Some(Peer {
                netns: Some(id),
                ifindex: IFINDEX,
            }),
            ..interface(engine.mtu_bytes)
        };
        let topology = Arc::make_mut(&mut self.topology);
        let links = &mut topology.namespaces.get_mut(&host)?.links;
        links.insert(port, other_end);
        if let Some(bridge) = links.get_mut(&place.bridge)
            && bridge.mtu_bytes == EMPTY_BRIDGE_BYTES
        {
            // It follows its smallest port (`br_mtu_auto_adjust`). One that was set stays.
            bridge.mtu_bytes = engine.mtu_bytes;
        }
        topology.namespaces.insert(id, guest);
        self.engines.insert(id, engine.clone());
        Some(())
    }

    /// An identity that no namespace has: the highest, which the kernel gives last.
    fn free(&self) -> Option<NetnsId> {
        let mut from_the_top = (1..=u64::MAX).rev().map(NetnsId);
        from_the_top.find(|id| !self.topology.namespaces.contains_key(id))
    }
}

/// Where a container can be.
#[derive(Clone, Debug)]
struct Place {
    /// Index of the bridge.
    bridge: u32,
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
    let here: BTreeSet<IpAddr> = addresses(netns).collect();
    let everywhere: BTreeSet<IpAddr> = topology
        .living()
        .filter(|(_, netns)| netns.guest.is_none())
        .flat_map(|(_, netns)| addresses(netns))
        .collect();
    let free = |taken: &BTreeSet<IpAddr>| hosts(network).find(|address| !taken.contains(address));
    free(&everywhere).or_else(|| free(&here))
}

fn addresses(netns: &Netns) -> impl Iterator<Item = IpAddr> {
    let links = netns.links.values();
    links.flat_map(|link| link.addresses.iter().map(|own| own.address))
}

/// The first addresses of a network that are a host's.
fn hosts(network: Address) -> impl Iterator<Item = IpAddr> {
    let (bits, width): (u128, u32) = match network.address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let host_bits = width.saturating_sub(network.prefix_len.into());
    let mask = 1_u128
        .checked_shl(host_bits)
        .map_or(u128::MAX, |size| size - 1);
    let first = bits & !mask;
    // The first and the last are nobody's, but for networks of two (RFC 3021, RFC 6164).
    let numbers = if host_bits < 2 {
        0..=mask
    } else {
        1..=(mask - 1).min(MOST_TRIED)
    };
    numbers.filter_map(move |number| match network.address {
        IpAddr::V4(_) => Some(IpAddr::V4(u32::try_from(first | number).ok()?.into())),
        IpAddr::V6(_) => Some(IpAddr::V6((first | number).into())),
    })
}

/// The namespace that a container would have.
fn guest(parent: NetnsId, engine: &Dockerd, port: u32, homes: &[Home]) -> Netns {
    let link = Link {
        name: INTERFACE.to_owned(),
        peer: Some(Peer {
            netns: Some(parent),
            ifindex: port,
        }),
        addresses: homes.iter().map(|home| home.own).collect(),
        ..interface(engine.mtu_bytes)
    };
    let routes = homes.iter().flat_map(|home| {
        let unspecified: IpAddr = match home.router {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let anywhere = Address {
            address: unspecified,
            prefix_len: 0,
        };
        [route(home.own, None), route(anywhere, Some(home.router))]
    });
    Netns {
        links: BTreeMap::from([(IFINDEX, link)]),
        // The settings of a new namespace are the kernel's defaults.
        inside: Some(Arc::new(Inside {
            routes: routes.collect(),
            ..Inside::default()
        })),
        guest: Some(Guest {
            bridge: engine.bridge.clone(),
            parent,
        }),
        ..Netns::default()
    }
}

/// One end of its veth, as far as both are the same.
fn interface(mtu_bytes: u32) -> Link {
    Link {
        kind: LinkKind::Veth,
        mtu_bytes,
        up: true,
        carrier: true,
        ..Link::default()
    }
}

fn route(destination: Address, gateway: Option<IpAddr>) -> Route {
    Route {
        destination,
        table: MAIN,
        kind: RouteKind::Unicast,
        metric: 0,
        hops: vec![NextHop {
            gateway,
            ifindex: Some(IFINDEX),
        }],
        mtu_bytes: None,
        mtu_locked: false,
        source: None,
    }
}

/// Whether a namespace is only thought of.
pub fn is_guest(topology: &Topology, netns: NetnsId) -> bool {
    let known = topology.namespaces.get(&netns);
    known.is_some_and(|netns| netns.guest.is_some())
}

/// Whether a link leads to such a one.
pub fn leads_to_guest(topology: &Topology, link: &Link) -> bool {
    let other = link.peer.and_then(|peer| peer.netns);
    link.is_pair() && other.is_some_and(|netns| is_guest(topology, netns))
}

/// The ends of a way that are only thought of.
pub fn guests<'a>(topology: &'a Topology, path: &Path) -> impl Iterator<Item = NetnsId> + 'a {
    let ends = path.from.into_iter().chain(path.to);
    ends.filter(|end| is_guest(topology, *end))
}

/// What is known of a container that is not there.
pub fn note(topology: &Topology, netns: NetnsId, engine: &Dockerd) -> Option<String> {
    let guest = topology.namespaces.get(&netns)?.guest.as_ref()?;
    let parent = NetnsRef::new(guest.parent, topology).label();
    let from = match &engine.mtu_from {
        MtuFrom::Flag => "as its --mtu says".to_owned(),
        MtuFrom::Settings(path) => format!("as its {path} says"),
        MtuFrom::Default => "by default, since nobody has told it otherwise".to_owned(),
    };
    Some(format!(
        "no container is on {} of {parent} yet: the engine there, dockerd (pid {}), would give a new \
         one an MTU of {}, {from}",
        guest.bridge, engine.pid, engine.mtu_bytes
    ))
}
