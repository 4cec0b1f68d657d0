//! Two container hosts and a tunnel between them: a vxlan, as Docker Swarm and flannel build them, or
//! another kind.
//!
//! ```text
//!  in             node1                                                node2             srv
//!  ┌──────┐       ┌───────────────────────────┐    ┌───────────────────────────┐       ┌──────┐
//!  │ eth0─┼───────┼─veth6d20c4b─br0─vxlan0· · │    │ · ·vxlan0─br0─veth83b1f5e─┼───────┼─eth0 │
//!  │ .2   │       │                         · │    │ ·                         │       │ .10  │
//!  └──────┘       │                  .1   eth0┼────┼eth0   .2                  │       └──────┘
//!                 └───────────────────────────┘    └───────────────────────────┘
//!                  bridged: 192.0.2.0/28      198.51.100.16/28
//! ```
//!
//! Routed, there is no bridge: the veths and `vxlan0` have addresses, and each network its subnet.
//! Tunnels that carry no Ethernet frames are always routed.
//!
//! ```text
//!  .2       192.0.2.0/28       .1   .1   198.51.100.0/28   .2   .1       203.0.113.0/28       .10
//! ```

use anyhow::{Result, ensure};

use super::encapsulation::{self, TunnelEnd};
use crate::address::{EXTERNAL, INNER, OUTER, Subnet, UNDERLAY};
use crate::kinds::Kind;
use crate::lifetime::Lab;
use crate::link::End;
use crate::netns::Netns;
use crate::{bridge, link};

/// What may be wrong in the overlay topology. The default has nothing wrong: the overlay leaves the
/// 50 bytes that the tunnel adds.
#[derive(Debug, Clone, Copy)]
pub struct Overlay {
    /// What makes the tunnel.
    pub tunnel: Kind,
    /// MTU of `vxlan0` of both nodes.
    pub overlay: u32,
    /// MTU of the containers' interfaces and their veth peers. A bridge follows its smallest port.
    pub container: u32,
    /// MTU of `eth0` of `node1`: its end of the underlay.
    pub underlay: u32,
    /// MTU of `eth0` of `node2`: the far end of the underlay.
    pub far: u32,
    /// The nodes route between their container and the tunnel instead of bridging them.
    pub routed: bool,
    /// The tunnel forbids the underlay to fragment. GRE and IP in IP hand on what the inner packet
    /// says where it does not.
    pub df: bool,
    /// Segmentation and receive offloads, of every interface.
    pub offloads: bool,
}

impl Default for Overlay {
    fn default() -> Self {
        Self {
            tunnel: Kind::Vxlan,
            overlay: 1450,
            container: 1450,
            underlay: 1500,
            far: 1500,
            routed: false,
            df: false,
            offloads: false,
        }
    }
}

/// A node and what differs between the two.
struct Node<'a> {
    netns: &'a Netns,
    /// Its host number in [`UNDERLAY`], and in [`OUTER`] when routed.
    number: u8,
    /// That of the other node.
    other: u8,
    /// The veth peer of its container.
    port: &'static str,
    container: &'a Netns,
    /// The container's host number in its subnet.
    inside: u8,
    /// Where its container and that of the other node are, when routed.
    subnets: [Subnet; 2],
}

impl Overlay {
    const CLIENT: u8 = 2;
    const SERVER: u8 = 10;
    /// Host number of a node in its container's subnet, when routed.
    const GATEWAY: u8 = 1;

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, the kernel has no such tunnel, it carries no frames to be bridged, or a tool fails.
    pub fn build(self) -> Result<OverlayLab> {
        ensure!(
            self.routed || encapsulation::carries_frames(self.tunnel),
            "{} cannot be bridged",
            self.tunnel.name()
        );
        let mut lab = Lab::new()?;
        lab.add(&["in", "node1", "node2", "srv"])?;
        let servers = if self.routed { EXTERNAL } else { INNER };
        let overlay = OverlayLab { lab, servers };
        let (node1, node2) = (overlay.node1()?, overlay.node2()?);
        link::veth(
            End::new(node1, OverlayLab::UNDERLAY, self.underlay),
            End::new(node2, OverlayLab::UNDERLAY, self.far),
        )?;
        self.add_node(&Node {
            netns: node1,
            number: 1,
            other: 2,
            port: OverlayLab::CLIENT_PORT,
            container: overlay.inside()?,
            inside: Self::CLIENT,
            subnets: [INNER, EXTERNAL],
        })?;
        self.add_node(&Node {
            netns: node2,
            number: 2,
            other: 1,
            port: OverlayLab::SERVER_PORT,
            container: overlay.server()?,
            inside: Self::SERVER,
            subnets: [EXTERNAL, INNER],
        })?;
        Ok(overlay)
    }

    fn add_node(self, node: &Node<'_>) -> Result<()> {
        link::veth(
            End::new(node.container, OverlayLab::CONTAINER, self.container),
            End::new(node.netns, node.port, self.container),
        )?;
        bridge::set_netfilter(node.netns, false)?;
        node.netns.forward()?;
        self.add_tunnel(node)?;
        let tunnel = encapsulation::device(self.tunnel);
        if self.routed {
            self.route(node)?;
        } else {
            let ports = [tunnel, node.port];
            bridge::add(node.netns, OverlayLab::BRIDGE, &ports, None)?;
            link::set_offloads(node.netns, OverlayLab::BRIDGE, self.offloads)?;
            node.container
                .ip(&INNER.assign(node.inside, OverlayLab::CONTAINER))?;
        }
        for (netns, name) in [
            (node.container, OverlayLab::CONTAINER),
            (node.netns, node.port),
            (node.netns, tunnel),
            (node.netns, OverlayLab::UNDERLAY),
        ] {
            link::set_offloads(netns, name, self.offloads)?;
        }
        Ok(())
    }

    fn add_tunnel(self, node: &Node<'_>) -> Result<()> {
        node.netns
            .ip(&UNDERLAY.assign(node.number, OverlayLab::UNDERLAY))?;
        let outer = encapsulation::outer(self.tunnel);
        encapsulation::add(&TunnelEnd {
            netns: node.netns,
            kind: self.tunnel,
            mtu: self.overlay,
            local: UNDERLAY.host(node.number, outer),
            remote: UNDERLAY.host(node.other, outer),
            df: self.df,
        })
    }

    fn route(self, node: &Node<'_>) -> Result<()> {
        let [own, other] = node.subnets;
        node.netns.ip(&[
            own.assign(Self::GATEWAY, node.port),
            OUTER.assign(node.number, encapsulation::device(self.tunnel)),
            other.route_through(OUTER, node.other),
        ]
        .concat())?;
        node.container.ip(&[
            own.assign(node.inside, OverlayLab::CONTAINER),
            own.default_gateway(Self::GATEWAY),
        ]
        .concat())
    }
}

/// An overlay topology that was built.
#[derive(Debug)]
pub struct OverlayLab {
    /// Its namespaces.
    pub lab: Lab,
    /// Where the server is.
    servers: Subnet,
}

impl OverlayLab {
    /// Each container's interface.
    pub const CONTAINER: &'static str = "eth0";
    /// The client's veth peer in `node1`.
    pub const CLIENT_PORT: &'static str = "veth6d20c4b";
    /// The server's veth peer in `node2`.
    pub const SERVER_PORT: &'static str = "veth83b1f5e";
    /// Each node's bridge; there is none when routed.
    pub const BRIDGE: &'static str = "br0";
    /// Each node's end of the tunnel, where that is a vxlan.
    pub const TUNNEL: &'static str = Self::tunnel(Kind::Vxlan);
    /// Each node's interface to the other.
    pub const UNDERLAY: &'static str = "eth0";
    /// The identifier of a vxlan's network.
    pub const ID: u32 = encapsulation::ID;
    /// The UDP port of a vxlan.
    pub const PORT: u16 = encapsulation::VXLAN_PORT;

    /// Each node's end of a tunnel of this kind.
    #[must_use]
    pub const fn tunnel(kind: Kind) -> &'static str {
        encapsulation::device(kind)
    }
}

roles!(OverlayLab {
    /// The client's container.
    inside: "in",
    /// The machine the client's container runs on.
    node1: "node1",
    /// The machine the server's container runs on.
    node2: "node2",
    /// The server's container.
    server: "srv",
});
transfers!(OverlayLab, inside, |lab, family| lab
    .servers
    .host(Overlay::SERVER, family));
