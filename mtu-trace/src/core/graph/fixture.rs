//! Made-up topologies for the tests of the pure functions.

use std::sync::Arc;

use ipnet::IpNet;

use crate::core::graph::TopologyIndex;
use crate::model::network::{Address, Inside, Link, Netns, NetnsId, Peer, Route, Topology};

/// A network or an address with the length of its network, from text.
pub(crate) fn network(text: &str) -> Address {
    let network: IpNet = text.parse().expect("a network");
    Address {
        address: network.addr(),
        prefix_len: network.prefix_len(),
    }
}

/// A topology under construction. Namespaces are numbered, links have names; all are up.
#[derive(Debug, Default)]
pub(crate) struct Lab {
    pub topology: Topology,
}

/// The id of a namespace of the lab.
pub(crate) fn id(netns: u64) -> NetnsId {
    NetnsId(netns)
}

impl Lab {
    pub fn graph(&self) -> TopologyIndex {
        TopologyIndex::new(Arc::new(self.topology.clone()))
    }

    pub fn netns(&mut self, netns: u64) -> &mut Netns {
        self.topology.namespaces.entry(id(netns)).or_default()
    }

    pub fn index(&self, netns: u64, name: &str) -> u32 {
        let links = &self.topology.namespaces[&id(netns)].links;
        let found = links.iter().find(|(_, link)| link.name == name);
        *found
            .unwrap_or_else(|| panic!("no link {name} in {netns}"))
            .0
    }

    pub fn link_mut(&mut self, netns: u64, name: &str) -> &mut Link {
        let index = self.index(netns, name);
        self.netns(netns).links.get_mut(&index).expect("a link")
    }

    pub fn router(&mut self, netns: u64) -> &mut Self {
        self.netns(netns).forwards_ipv4 = true;
        self
    }

    pub fn link(&mut self, netns: u64, name: &str, kind: &str, mtu_bytes: u32) -> u32 {
        let links = &mut self.netns(netns).links;
        let index = links.keys().last().map_or(2, |last| last + 1);
        let link = Link {
            name: name.to_owned(),
            kind: kind.into(),
            mtu_bytes,
            up: true,
            ..Link::default()
        };
        links.insert(index, link);
        index
    }

    /// Two ends, each given by namespace, name and MTU.
    pub fn veth(&mut self, a: (u64, &str, u32), b: (u64, &str, u32)) {
        self.link(a.0, a.1, "veth", a.2);
        self.link(b.0, b.1, "veth", b.2);
        self.stack((a.0, a.1), (b.0, b.1));
        self.stack((b.0, b.1), (a.0, a.1));
    }

    /// A device given by namespace, name, kind and MTU on top of another.
    pub fn stacked(&mut self, upper: (u64, &str, &str, u32), lower: (u64, &str)) {
        self.link(upper.0, upper.1, upper.2, upper.3);
        self.stack((upper.0, upper.1), lower);
    }

    pub fn stack(&mut self, upper: (u64, &str), lower: (u64, &str)) {
        self.link_mut(upper.0, upper.1).peer = Some(Peer {
            netns: Some(id(lower.0)),
            ifindex: self.index(lower.0, lower.1),
        });
    }

    /// A bridge, made anew if it exists, with its ports and perhaps an address.
    pub fn bridge(
        &mut self,
        netns: u64,
        name: &str,
        mtu_bytes: u32,
        ports: &[&str],
        address: bool,
    ) {
        self.netns(netns).links.retain(|_, link| link.name != name);
        let index = self.link(netns, name, "bridge", mtu_bytes);
        for port in ports {
            self.link_mut(netns, port).master = Some(index);
        }
        if address {
            self.link_mut(netns, name).addresses.push(Address {
                address: [192, 0, 2, 1].into(),
                prefix_len: 24,
            });
        }
    }

    /// What is known from inside of a namespace.
    pub fn inside(&mut self, netns: u64) -> &mut Inside {
        Arc::make_mut(self.netns(netns).inside.get_or_insert_default())
    }

    /// Gives a link an address, and the namespace the route that comes with it.
    pub fn address(&mut self, netns: u64, name: &str, address: &str) -> &mut Self {
        let address = network(address);
        self.link_mut(netns, name).addresses.push(address);
        let ifindex = self.index(netns, name);
        let route = Route::plain(address, None, ifindex);
        self.inside(netns).routes.push(route);
        self
    }

    /// A route through a router on the link of this name.
    pub fn route(&mut self, netns: u64, to: &str, via: &str, name: &str) -> &mut Self {
        let ifindex = self.index(netns, name);
        let gateway = Some(via.parse().expect("an address"));
        let route = Route::plain(network(to), gateway, ifindex);
        self.inside(netns).routes.push(route);
        self
    }
}
