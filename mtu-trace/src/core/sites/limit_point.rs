//! The places on a way at which the kernel compares a packet's length with a limit, in the order in
//! which a packet meets them. Pure.
//!
//! Each is named by the function that would drop the packet, and by the devices the report of a
//! trace gives for it, so that what is predicted can be compared with what is found.

use crate::{
    core::graph::{Hop, Leg, Path, Tunnels, role},
    model::network::{Link, LinkKind, NetnsId, OuterDf, Topology},
};

/// The smallest MTU an IPv6 link may have (RFC 8200, section 5).
const IPV6_MIN_MTU: u32 = 1280;
/// What layer 2 lets through beyond the MTU: a VLAN tag (`is_skb_forwardable`), bytes.
const VLAN_HLEN: u32 = 4;

/// What happens to a packet that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `ip_forward`, `ip6_forward`: dropped, and the sender is told.
    Forward,
    /// `br_dev_queue_push_xmit`, or bridge netfilter's functions: dropped.
    Bridge {
        /// Whether bridge netfilter takes part.
        netfilter: bool,
    },
    /// `__dev_forward_skb` to the other end of a veth, or from one macvlan to another: dropped.
    Veth,
    /// `skb_tunnel_check_pmtu` at a tunnel that is a bridge's port: the sender is told, in the name
    /// of the far end.
    BridgedTunnel,
    /// A tunnel whose own MTU check tells the sender (`tnl_update_pmtu`).
    RoutedTunnel,
    /// The outer packet may not be cut and nobody but the tunnel itself is told (`ip_fragment`).
    SealedTunnel,
    /// The outer packet is cut into pieces.
    Fragmenting,
}

impl Kind {
    /// Whether the place never tells the sender.
    #[must_use]
    pub fn is_silent(self) -> bool {
        matches!(self, Self::Bridge { .. } | Self::Veth | Self::SealedTunnel)
    }
}

/// A place that measures packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it does.
    pub kind: Kind,
    /// Device by which packets come into its namespace; `None` for those made there.
    pub ingress: Option<Hop>,
    /// Device by which they should leave.
    pub egress: Hop,
    /// The other end of that device, where its MTU is the limit.
    pub peer: Option<Hop>,
    /// The limit, bytes of layer 3.
    pub limit_bytes: u32,
    /// How much longer a packet may be and still pass, bytes.
    pub slack_bytes: u32,
    /// What packets have grown by in a tunnel when they come here, bytes.
    pub wrapped_bytes: u32,
    /// The tunnel that has wrapped them.
    pub tunnel: Option<Hop>,
    /// Number of the leg of the way that begins here.
    pub leg: usize,
    /// Whether the packets here are of IPv6.
    pub ipv6: bool,
}

/// The places of a way.
#[must_use]
pub fn places(topology: &Topology, tunnels: &Tunnels, path: &Path) -> Vec<Place> {
    let mut finder = Finder {
        topology,
        tunnels,
        ipv6: path.ipv6,
        wrapped_bytes: 0,
        tunnel: None,
        leg: 0,
        places: Vec::new(),
    };
    finder.follow(path);
    finder.places
}

struct Finder<'a> {
    topology: &'a Topology,
    tunnels: &'a Tunnels,
    ipv6: bool,
    wrapped_bytes: u32,
    tunnel: Option<Hop>,
    leg: usize,
    places: Vec<Place>,
}

impl<'a> Finder<'a> {
    fn follow(&mut self, path: &Path) {
        let mut ingress = None;
        for (number, leg) in path.legs.iter().enumerate() {
            if self.tunnel.is_none() {
                self.leg = number;
            }
            if ingress.is_some() {
                self.forward(leg, ingress);
            }
            self.cross(leg, ingress);
            ingress = leg.devices.last().copied();
        }
        // A tunnel to somewhere beyond this host.
        if path.to.is_none()
            && let Some(&last) = path.legs.last().and_then(|leg| leg.devices.last())
        {
            self.wrap(last, None);
        }
    }

    fn link(&self, at: Hop) -> Option<&'a Link> {
        self.topology.link(at.netns, at.ifindex)
    }

    fn add(&mut self, kind: Kind, ingress: Option<Hop>, egress: Hop, limit_bytes: u32) {
        let generous = matches!(kind, Kind::Veth | Kind::Bridge { netfilter: false });
        self.places.push(Place {
            kind,
            ingress: ingress.filter(|ingress| ingress.netns == egress.netns && *ingress != egress),
            egress,
            peer: None,
            limit_bytes,
            slack_bytes: if generous { VLAN_HLEN } else { 0 },
            wrapped_bytes: self.wrapped_bytes,
            tunnel: self.tunnel,
            leg: self.leg,
            ipv6: self.ipv6,
        });
    }

    /// A router compares with the MTU of the route, else of the device it sends by.
    fn forward(&mut self, leg: &Leg, ingress: Option<Hop>) {
        let Some(&egress) = leg.devices.first() else {
            return;
        };
        let Some(link) = self.link(egress) else {
            return;
        };
        let mut limit = leg.route_mtu_bytes.unwrap_or(link.mtu_bytes);
        if self.ipv6 {
            limit = limit.max(IPV6_MIN_MTU);
        }
        let kind = if self.may_be_cut() {
            Kind::Fragmenting
        } else {
            Kind::Forward
        };
        self.add(kind, ingress, egress, limit);
    }

    /// Whether the packets here are those of a tunnel that lets them be cut; IPv6 routers never do.
    fn may_be_cut(&self) -> bool {
        let tunnel = self.tunnel.and_then(|at| self.link(at)?.tunnel.as_ref());
        !self.ipv6 && tunnel.is_some_and(|tunnel| tunnel.df == OuterDf::Unset)
    }

    /// The steps at layer 2.
    fn cross(&mut self, leg: &Leg, ingress: Option<Hop>) {
        let mut came_in = ingress;
        for (index, pair) in leg.devices.windows(2).enumerate() {
            let &[from, to] = pair else { continue };
            let (Some(near), Some(far)) = (self.link(from), self.link(to)) else {
                continue;
            };
            let before = index
                .checked_sub(1)
                .and_then(|index| leg.devices.get(index))
                .copied();
            if is_cable(near, to) {
                self.hand_over(came_in, from, to, far.mtu_bytes);
                came_in = Some(to);
            } else if role::is_bridge(near)
                && far.master == Some(from.ifindex)
                && from.netns == to.netns
            {
                let port = before.filter(|port| {
                    port.netns == from.netns
                        && self
                            .link(*port)
                            .is_some_and(|link| link.master == Some(from.ifindex))
                });
                let netfilter = port.is_some() && self.netfilter(from.netns);
                let kind = Kind::Bridge { netfilter };
                self.add(kind, port.or(came_in), to, far.mtu_bytes);
            } else if far.kind == LinkKind::Macvlan
                && let Some(sibling) = before
                && self
                    .link(sibling)
                    .is_some_and(|link| link.kind == LinkKind::Macvlan)
            {
                self.hand_over(None, sibling, to, far.mtu_bytes);
            } else if near.tunnel.is_some() && far.tunnel.is_some() {
                self.wrap(from, Some(to));
            }
        }
    }

    /// A device that hands packets to another measures with that one's MTU.
    fn hand_over(&mut self, ingress: Option<Hop>, from: Hop, to: Hop, limit_bytes: u32) {
        self.add(Kind::Veth, ingress, from, limit_bytes);
        if let Some(place) = self.places.last_mut() {
            place.peer = Some(to);
        }
    }

    fn netfilter(&self, netns: NetnsId) -> bool {
        let inside = self
            .topology
            .namespaces
            .get(&netns)
            .and_then(|netns| netns.inside.as_ref());
        let set = inside.and_then(|inside| {
            if self.ipv6 {
                inside.sysctls.bridge_nf_call_ip6tables
            } else {
                inside.sysctls.bridge_nf_call_iptables
            }
        });
        set.is_some_and(|set| set != 0)
    }

    /// Into a tunnel: its own limit, then the places on the way of the outer packets.
    fn wrap(&mut self, at: Hop, end: Option<Hop>) {
        let Some(link) = self.link(at) else { return };
        let (Some(tunnel), Some(way)) = (&link.tunnel, self.tunnels.way(at, end)) else {
            return;
        };
        if tunnel.overhead_bytes == 0 {
            return; // not known
        }
        let Some(first) = way.legs.first() else {
            return;
        };
        let underlay = first
            .devices
            .first()
            .and_then(|&device| self.link(device))
            .map(|device| first.route_mtu_bytes.unwrap_or(device.mtu_bytes));
        let Some(underlay) = underlay else { return };
        let limit = underlay.saturating_sub(tunnel.overhead_bytes);
        let is_port = link.master.is_some();
        // vxlan, geneve and bareudp look only whether they are ports (`skb_tunnel_check_pmtu`).
        let kind = match (&link.kind, tunnel.df) {
            (LinkKind::Vxlan | LinkKind::Geneve, _) if is_port => Kind::BridgedTunnel,
            (_, OuterDf::Unset) if !way.ipv6 => Kind::Fragmenting,
            // They lower the path MTU of the node's own route to the destination, which IPv6 heeds
            // for what it forwards (`ip6_fragment`) and IPv4 does not.
            (LinkKind::Vxlan | LinkKind::Geneve | LinkKind::Bareudp, _) if !self.ipv6 => {
                Kind::SealedTunnel
            }
            _ => Kind::RoutedTunnel,
        };
        let outer = (self.wrapped_bytes, self.tunnel, self.ipv6);
        self.add(kind, None, at, limit);
        self.wrapped_bytes = self.wrapped_bytes.saturating_add(tunnel.overhead_bytes);
        self.tunnel = Some(at);
        self.ipv6 = way.ipv6;
        // Tunnels in tunnels are not followed, so this ends here.
        if outer.1.is_none() {
            self.follow(way);
        }
        (self.wrapped_bytes, self.tunnel, self.ipv6) = outer;
    }
}

/// Whether a link is a veth whose other end is the given one.
fn is_cable(link: &Link, end: Hop) -> bool {
    role::is_pair(link)
        && link
            .peer
            .is_some_and(|peer| peer.netns == Some(end.netns) && peer.ifindex == end.ifindex)
}
