//! The made-up network that the tests' packets cross: a container behind a container behind a
//! host, and a server.
//!
//! ```text
//! CONTAINER            OUTER                     HOST                        SERVER
//! eth0 ---- vethin - docker0 - eth0 ---- vethout - cni0 - ext0 ------------- eth0
//! 192.0.2.2    192.0.2.1  10.42.0.5         10.42.0.1  198.51.100.1  198.51.100.9
//! ```
//!
//! OUTER and HOST both masquerade, so the server knows the container as 198.51.100.1.

use std::sync::Arc;

use mtu_trace::testing::{
    Address, Container, Device, EventKind, Link, Netns, NetnsId, Peer, Topology,
};

pub const CONTAINER: NetnsId = NetnsId(101);
pub const OUTER: NetnsId = NetnsId(102);
pub const HOST: NetnsId = NetnsId(103);
pub const SERVER: NetnsId = NetnsId(104);

/// An interface by namespace and index.
pub type At = (NetnsId, u32);

pub const CONTAINER_ETH0: At = (CONTAINER, 2);
pub const OUTER_ETH0: At = (OUTER, 2);
pub const VETHIN: At = (OUTER, 3);
pub const DOCKER0: At = (OUTER, 4);
pub const EXT0: At = (HOST, 2);
pub const CNI0: At = (HOST, 3);
pub const VETHOUT: At = (HOST, 4);
pub const SERVER_ETH0: At = (SERVER, 2);

/// MTUs of the hop between the host and the outer container.
#[derive(Clone, Copy, Debug)]
pub struct Mtus {
    /// The host's bridge.
    pub bridge: u32,
    /// The host's end of the veth, a port of that bridge.
    pub port: u32,
    /// The other end, in the outer container.
    pub inner: u32,
}

/// Both ends agree: the host's router is the boundary.
pub const ROUTED: Mtus = Mtus {
    bridge: 1450,
    port: 1450,
    inner: 1450,
};
/// Only the far end of the veth is smaller.
pub const VETH: Mtus = Mtus {
    bridge: 1500,
    port: 1500,
    inner: 1450,
};
/// The bridge is forced to more than its port carries.
pub const BRIDGE: Mtus = Mtus {
    bridge: 1500,
    port: 1450,
    inner: 1450,
};

/// The whole network.
pub fn network(mtus: Mtus) -> Topology {
    let mut topology = Topology::default();
    let mut link = |(netns, ifindex): At, name: &str, kind: &str, mtu_bytes, address: &str| {
        let known: &mut Netns = topology.namespaces.entry(netns).or_default();
        let addresses = (!address.is_empty()).then(|| Address {
            address: address.parse().unwrap(),
            prefix_len: 24,
        });
        let link = Link {
            name: name.to_owned(),
            kind: kind.into(),
            mtu_bytes,
            up: true,
            addresses: addresses.into_iter().collect(),
            ..Link::default()
        };
        known.links.insert(ifindex, link);
    };
    link(CONTAINER_ETH0, "eth0", "veth", 1500, "192.0.2.2");
    link(VETHIN, "vethin", "veth", 1500, "");
    link(DOCKER0, "docker0", "bridge", 1500, "192.0.2.1");
    link(OUTER_ETH0, "eth0", "veth", mtus.inner, "10.42.0.5");
    link(VETHOUT, "vethout", "veth", mtus.port, "");
    link(CNI0, "cni0", "bridge", mtus.bridge, "10.42.0.1");
    link(EXT0, "ext0", "veth", 1500, "198.51.100.1");
    link(SERVER_ETH0, "eth0", "veth", 1500, "198.51.100.9");
    for (a, b) in [
        (CONTAINER_ETH0, VETHIN),
        (OUTER_ETH0, VETHOUT),
        (EXT0, SERVER_ETH0),
    ] {
        for ((netns, ifindex), other) in [(a, b), (b, a)] {
            let peer = Peer {
                netns: Some(other.0),
                ifindex: other.1,
            };
            let known = topology.namespaces.get_mut(&netns).unwrap();
            known.links.get_mut(&ifindex).unwrap().peer = Some(peer);
        }
    }
    for (port, bridge) in [(VETHIN, DOCKER0), (VETHOUT, CNI0)] {
        let known = topology.namespaces.get_mut(&port.0).unwrap();
        known.links.get_mut(&port.1).unwrap().master = Some(bridge.1);
    }
    for (inode, (&id, known)) in (4_026_531_840u64..).zip(&mut topology.namespaces) {
        known.inode = inode;
        known.cookie = Some(id.0);
        known.forwards_ipv4 = id == OUTER || id == HOST;
        known.init = id == HOST;
    }
    let container = |digit: &str, name: Option<&str>, parent| Container {
        id: digit.repeat(64),
        name: name.map(str::to_owned),
        image: None,
        runtime: "docker".to_owned(),
        pod: None,
        pod_name: None,
        parent,
    };
    let known = &mut topology.namespaces;
    known.get_mut(&CONTAINER).unwrap().container = Some(container("c", Some("build"), Some(OUTER)));
    known.get_mut(&OUTER).unwrap().container = Some(container("d", None, None));
    known.get_mut(&SERVER).unwrap().name = Some("srv".to_owned());
    topology
}

/// The event that tells of the network.
pub fn told(topology: &Topology) -> EventKind {
    EventKind::Topology(Arc::new(topology.clone()))
}

/// An interface as an event shows it.
pub fn device(topology: &Topology, (netns, ifindex): At) -> Device {
    let link = topology.link(netns, ifindex).unwrap();
    Device {
        netns,
        ifindex,
        name: Some(link.name.as_str().into()),
        mtu_bytes: link.mtu_bytes,
    }
}
