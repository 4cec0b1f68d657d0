//! What is asked of a network: what is where, and what a link is for, which decides how packets go on
//! from it.

use std::net::IpAddr;

use crate::model::network::{
    Address, Inside, Link, LinkId, LinkKind, LinkRole, Netns, NetnsId, Peer, Topology,
    is_link_local,
};

/// `ETH_MIN_MTU`: below it a device has no IPv4, let alone IPv6 (a CAN bus, say).
const MIN_MTU_BYTES: u32 = 68;

impl Topology {
    /// A link by namespace and interface index.
    pub fn link(&self, netns: NetnsId, ifindex: u32) -> Option<&Link> {
        self.namespaces.get(&netns)?.links.get(&ifindex)
    }

    /// The namespace and interface that own an address, in the given namespace.
    pub fn owner(&self, netns: NetnsId, address: IpAddr) -> Option<(u32, &Link)> {
        self.namespaces.get(&netns)?.owner(address)
    }

    /// The namespaces that are not gone.
    pub fn living(&self) -> impl Iterator<Item = (NetnsId, &Netns)> {
        let known = self.namespaces.iter().map(|(&id, netns)| (id, netns));
        known.filter(|(_, netns)| !netns.gone)
    }

    /// What a look from inside of a namespace has told; `None` where there was none.
    pub(crate) fn inside(&self, netns: NetnsId) -> Option<&Inside> {
        self.namespaces.get(&netns)?.inside.as_deref()
    }
}

impl LinkId {
    /// What is known of the link; `None` if it is not among the known ones.
    pub(crate) fn link(self, topology: &Topology) -> Option<&Link> {
        topology.link(self.netns, self.ifindex)
    }

    /// The same with its namespace.
    pub(crate) fn place(self, topology: &Topology) -> Option<(&Netns, &Link)> {
        let netns = topology.namespaces.get(&self.netns)?;
        Some((netns, netns.links.get(&self.ifindex)?))
    }
}

impl Link {
    /// The other end of a veth, or the lower device of a stacked one, if its namespace is known.
    pub(crate) fn peer_id(&self) -> Option<LinkId> {
        let Peer { netns, ifindex } = self.peer?;
        netns.map(|netns| LinkId { netns, ifindex })
    }

    /// The MTU that IPv6 packets by it are measured against, bytes (`ip6_dst_mtu_maybe_forward`).
    pub(crate) fn ipv6_mtu_bytes(&self) -> u32 {
        self.ipv6_mtu_bytes.unwrap_or(self.mtu_bytes)
    }

    /// Whether it is one of two ends of a virtual cable.
    pub(crate) fn is_pair(&self) -> bool {
        self.kind.role() == LinkRole::Pair
    }

    /// Whether it sits on another device (`IFLA_LINK` then is that device).
    pub(crate) fn is_stacked(&self) -> bool {
        self.peer.is_some() && !self.is_pair()
    }

    /// Whether it carries packets inside other packets.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.kind.role() == LinkRole::Tunnel
    }

    /// What it adds to each packet if it is a tunnel, bytes.
    pub(crate) fn overhead_bytes(&self) -> u32 {
        let tunnel = self.tunnel.as_ref();
        tunnel.map_or(0, |tunnel| tunnel.overhead_bytes)
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.kind.role() == LinkRole::Loopback
    }

    /// Whether it can carry packets to another link.
    pub(crate) fn is_carrier(&self) -> bool {
        self.up && !self.is_loopback()
    }

    /// The addresses that are good beyond the link itself.
    pub(crate) fn global_addresses(&self) -> impl Iterator<Item = &Address> {
        let own = self.addresses.iter();
        own.filter(|own| !is_link_local(own.address))
    }
}

impl Netns {
    /// The interface that owns an address.
    pub(crate) fn owner(&self, address: IpAddr) -> Option<(u32, &Link)> {
        let owns = |link: &Link| link.addresses.iter().any(|own| own.address == address);
        let mut links = self.links.iter().map(|(&ifindex, link)| (ifindex, link));
        links.find(|(_, link)| owns(link))
    }

    /// The bridge, bond or team a link is a port of. A VRF is none: its members have addresses.
    pub(crate) fn switch_of(&self, link: &Link) -> Option<u32> {
        let master = link.master?;
        let role = self.links.get(&master)?.kind.role();
        (role == LinkRole::Switch).then_some(master)
    }

    /// Whether packets are passed on between its links by their addresses.
    pub(crate) fn forwards(&self) -> bool {
        self.forwards_ipv4 || self.forwards_ipv6
    }

    /// Whether it forwards, and a link takes part in that. Links without addresses do (the host's ends
    /// of Calico's veths have none), but not a bridge that merely connects its ports.
    pub(crate) fn routes(&self, link: &Link) -> bool {
        self.forwards()
            && !link.is_loopback()
            && link.mtu_bytes >= MIN_MTU_BYTES
            && self.switch_of(link).is_none()
            && (link.kind != LinkKind::Bridge || link.global_addresses().next().is_some())
    }
}
