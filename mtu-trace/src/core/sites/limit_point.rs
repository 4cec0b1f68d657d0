//! The places on a way at which the kernel compares a packet's length with a limit, in the order in
//! which a packet meets them.
//!
//! Each is named by the function that would drop the packet, and by the devices the report of a
//! trace gives for it, so that what is predicted can be compared with what is found.

use crate::core::graph::{Leg, Path, TopologyIndex};
use crate::core::sites::site::{Crossing, IPV6_MIN_MTU_BYTES, Site, Wrapping};
use crate::model::network::{EncapsulatedWhen, Link, LinkId, LinkKind, NetnsId, OuterDf};

/// A place that measures packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitPoint {
    /// What is known of such places.
    pub site: &'static Site,
    /// Device by which packets come into its namespace; `None` for those made there.
    pub ingress: Option<LinkId>,
    /// Device by which they should leave.
    pub egress: LinkId,
    /// The other end of that device, where its MTU is the limit.
    pub peer: Option<LinkId>,
    /// The limit, bytes of layer 3.
    pub limit_bytes: u32,
    /// What packets have grown by in a tunnel when they come here, bytes.
    pub wrapped_bytes: u32,
    /// The tunnel that has wrapped them.
    pub tunnel: Option<LinkId>,
    /// Number of the leg of the way that begins here.
    pub leg: usize,
    /// Whether the packets here are of IPv6.
    pub ipv6: bool,
}

impl LimitPoint {
    /// The longest packet of the ends that passes, bytes.
    pub fn fits_bytes(&self) -> u32 {
        self.limit_bytes.saturating_sub(self.wrapped_bytes)
    }
}

/// The places of a way at which packets are measured, in the order in which they come there.
pub fn limit_points(index: &TopologyIndex, path: &Path) -> Vec<LimitPoint> {
    let mut finder = Finder {
        index,
        ipv6: path.ipv6,
        wrapped_bytes: 0,
        tunnel: None,
        leg: 0,
        points: Vec::new(),
    };
    finder.follow(path);
    finder.points
}

struct Finder<'a> {
    index: &'a TopologyIndex,
    ipv6: bool,
    wrapped_bytes: u32,
    tunnel: Option<LinkId>,
    leg: usize,
    points: Vec<LimitPoint>,
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

    fn link(&self, at: LinkId) -> Option<&'a Link> {
        at.link(&self.index.topology)
    }

    /// Notes that packets are measured at a crossing, if they are; the limit is in bytes.
    fn add(
        &mut self,
        crossing: &Crossing<'_>,
        ingress: Option<LinkId>,
        egress: LinkId,
        limit_bytes: u32,
    ) -> Option<&mut LimitPoint> {
        let site = Site::at(crossing)?;
        self.points.push(LimitPoint {
            site,
            ingress: ingress.filter(|ingress| ingress.netns == egress.netns && *ingress != egress),
            egress,
            peer: None,
            limit_bytes,
            wrapped_bytes: self.wrapped_bytes,
            tunnel: self.tunnel,
            leg: self.leg,
            ipv6: self.ipv6,
        });
        self.points.last_mut()
    }

    /// A router compares with the MTU of the route, else of the device it sends by
    /// (`ip_dst_mtu_maybe_forward`). Of IPv6 it minds a route's only where that is locked
    /// (`ip6_dst_mtu_maybe_forward`), and the packet dies a step later of one that is not.
    fn forward(&mut self, leg: &Leg, ingress: Option<LinkId>) {
        let Some(&egress) = leg.devices.first() else {
            return;
        };
        let Some(link) = self.link(egress) else {
            return;
        };
        let encapsulation = leg.encapsulation;
        if let Some(own) = encapsulation.filter(|it| it.when == EncapsulatedWhen::Received) {
            let outer_bytes = leg.route_mtu_bytes.unwrap_or(link.mtu_bytes);
            if let Some(point) = self.add(&Crossing::RouteWraps, ingress, egress, outer_bytes) {
                point.wrapped_bytes += own.bytes;
            }
            return;
        }
        let cuts = self.may_be_cut();
        let room_bytes = |bytes: u32| match encapsulation {
            Some(it) if it.bytes < bytes => bytes - it.bytes,
            _ => bytes,
        };
        let ipv6 = self.ipv6;
        let mut add = |crossing, bytes| {
            self.add(&crossing, ingress, egress, room_bytes(bytes));
        };
        if !ipv6 {
            let own_bytes = leg.learned_mtu_bytes.or(leg.route_mtu_bytes);
            add(
                Crossing::Router { cuts },
                own_bytes.unwrap_or(link.mtu_bytes),
            );
            return;
        }
        let least = |bytes: u32| bytes.max(IPV6_MIN_MTU_BYTES);
        let own_bytes = leg.route_mtu_bytes.map(least);
        let locked_bytes = own_bytes.filter(|_| leg.mtu_locked);
        let limit = locked_bytes.unwrap_or_else(|| least(link.ipv6_mtu_bytes()));
        add(Crossing::Router { cuts }, limit);
        if let Some(own_bytes) = own_bytes.filter(|&own_bytes| own_bytes < limit) {
            add(Crossing::RouteMtu, own_bytes);
        }
    }

    /// The MTU of the route that a way begins with, else of its first device, bytes.
    fn route_mtu_bytes(&self, way: &Path) -> Option<u32> {
        let leg = way.legs.first()?;
        let link = self.link(*leg.devices.first()?)?;
        let own_bytes = if way.ipv6 {
            link.ipv6_mtu_bytes()
        } else {
            link.mtu_bytes
        };
        Some(leg.route_mtu_bytes.unwrap_or(own_bytes))
    }

    /// Whether the packets here are those of a tunnel that lets them be cut; IPv6 routers never do.
    fn may_be_cut(&self) -> bool {
        let tunnel = self.tunnel.and_then(|at| self.link(at)?.tunnel.as_ref());
        !self.ipv6 && tunnel.is_some_and(|tunnel| tunnel.df == OuterDf::Unset)
    }

    /// The steps at layer 2.
    fn cross(&mut self, leg: &Leg, ingress: Option<LinkId>) {
        let mut came_in = ingress;
        let mut before: Option<LinkId> = None;
        for pair in leg.devices.windows(2) {
            let &[from, to] = pair else { continue };
            let (Some(near), Some(far)) = (self.link(from), self.link(to)) else {
                continue;
            };
            let came_by = before
                .replace(from)
                .and_then(|at| Some((at, self.link(at)?)));
            if near.is_pair() && near.peer_id() == Some(to) {
                self.hand_over(came_in, from, to, far.mtu_bytes);
                came_in = Some(to);
            } else if near.kind == LinkKind::Bridge
                && far.master == Some(from.ifindex)
                && from.netns == to.netns
            {
                let port = came_by.filter(|(port, link)| {
                    port.netns == from.netns && link.master == Some(from.ifindex)
                });
                let netfilter = port.is_some() && self.netfilter(from.netns);
                let crossing = Crossing::BridgePort { netfilter };
                let ingress = port.map(|(port, _)| port).or(came_in);
                self.add(&crossing, ingress, to, far.mtu_bytes);
            } else if near.tunnel.is_some() && far.tunnel.is_some() {
                self.wrap(from, Some(to));
            }
        }
    }

    /// A device that hands packets to another measures with that one's MTU.
    fn hand_over(&mut self, ingress: Option<LinkId>, at: LinkId, to: LinkId, limit_bytes: u32) {
        let Some(from) = self.link(at) else { return };
        if let Some(point) = self.add(&Crossing::HandOver { from }, ingress, at, limit_bytes) {
            point.peer = Some(to);
        }
    }

    fn netfilter(&self, netns: NetnsId) -> bool {
        let set = self.index.topology.inside(netns).and_then(|inside| {
            if self.ipv6 {
                inside.sysctls.bridge_nf_call_ip6tables
            } else {
                inside.sysctls.bridge_nf_call_iptables
            }
        });
        set.is_some_and(|set| set != 0)
    }

    /// Into a tunnel: its own limit, then the places on the way of the outer packets.
    fn wrap(&mut self, at: LinkId, end: Option<LinkId>) {
        let Some(link) = self.link(at) else { return };
        let (Some(tunnel), Some(way)) = (&link.tunnel, self.index.tunnels().way(at, end)) else {
            return;
        };
        if tunnel.overhead_bytes == 0 {
            return; // not known
        }
        let Some(first) = way.legs.first() else {
            return;
        };
        let (Some(underlay), Some(&out)) = (self.route_mtu_bytes(way), first.devices.first())
        else {
            return;
        };
        let wrapping = Wrapping {
            link,
            tunnel,
            ipv6: self.ipv6,
            outer_ipv6: way.ipv6,
        };
        let outer = (self.wrapped_bytes, self.tunnel, self.ipv6);
        let limit = underlay.saturating_sub(tunnel.overhead_bytes);
        self.add(&Crossing::Wrap(wrapping), None, at, limit);
        self.wrapped_bytes = self.wrapped_bytes.saturating_add(tunnel.overhead_bytes);
        self.tunnel = Some(at);
        self.ipv6 = way.ipv6;
        self.add(&Crossing::SendWrapped(wrapping), None, out, underlay);
        // Tunnels in tunnels are not followed, so this ends here.
        if outer.1.is_none() {
            self.follow(way);
        }
        (self.wrapped_bytes, self.tunnel, self.ipv6) = outer;
    }
}
