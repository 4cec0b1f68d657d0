//! A container in a container: two forwarders with a bridge each, as Docker-in-Docker builds them.
//!
//! ```text
//!  in                out                               host                              srv
//!  ┌────────┐        ┌──────────────────────────┐      ┌──────────────────────────┐      ┌────────┐
//!  │   eth0─┼────────┼─veth3f2a91c─docker0      │      │                    ext0──┼──────┼─eth0   │
//!  │ .2     │        │             .1      eth0─┼──────┼─veth7be04d1─br0   .1     │      │ .10    │
//!  └────────┘        │                     .2   │      │             .1           │      └────────┘
//!                    └──────────────────────────┘      └──────────────────────────┘
//!   192.0.2.0/28                                198.51.100.0/28              203.0.113.0/28
//! ```

use std::net::IpAddr;

use anyhow::Result;

use crate::address::{EXTERNAL, Family, INNER, OUTER};
use crate::lifetime::Lab;
use crate::link::End;
use crate::wire::{Policy, Wire};
use crate::{bridge, link, nat};

/// What may be wrong in the nested topology. The default has nothing wrong: 1500 everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Nested {
    /// MTU of the container's `eth0`, its veth peer and `out`'s bridge.
    pub container: u32,
    /// MTU of `eth0` of `out`: its end of the uplink.
    pub uplink: u32,
    /// MTU of the host's end of the uplink, which is a port of the host's bridge.
    pub port: u32,
    /// MTU of the host's bridge; `None` lets it follow its port.
    pub bridge: Option<u32>,
    /// Segmentation and receive offloads, of every interface.
    pub offloads: bool,
    /// Both forwarders masquerade what comes from their bridge.
    pub masquerade: bool,
    /// The lab has the machine to itself.
    pub exclusive: bool,
}

impl Default for Nested {
    fn default() -> Self {
        Self {
            container: 1500,
            uplink: 1500,
            port: 1500,
            bridge: None,
            offloads: false,
            masquerade: false,
            exclusive: false,
        }
    }
}

impl Nested {
    /// Host number of the container in [`INNER`], and of `out` in [`OUTER`].
    const INSIDE: u8 = 2;
    /// Host number of every gateway in its subnet.
    const GATEWAY: u8 = 1;
    /// Host number of the server in [`EXTERNAL`].
    const SERVER: u8 = 10;

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, or a tool fails.
    pub fn build(self) -> Result<NestedLab> {
        let mut lab = if self.exclusive {
            Lab::exclusive()?
        } else {
            Lab::new()?
        };
        lab.add(&["in", "out", "host", "srv"])?;
        let nested = NestedLab { lab };
        self.wire(&nested)?;
        self.address(&nested)?;
        if self.masquerade {
            nat::masquerade(nested.out()?, INNER, NestedLab::UPLINK)?;
            nat::masquerade(nested.host()?, OUTER, NestedLab::EXTERNAL)?;
        }
        Ok(nested)
    }

    fn wire(self, lab: &NestedLab) -> Result<()> {
        let (inside, out, host, server) = (lab.inside()?, lab.out()?, lab.host()?, lab.server()?);
        let ends = [
            (
                End::new(inside, NestedLab::CONTAINER, self.container),
                End::new(out, NestedLab::INNER_PORT, self.container),
            ),
            (
                End::new(out, NestedLab::UPLINK, self.uplink),
                End::new(host, NestedLab::OUTER_PORT, self.port),
            ),
            (
                End::new(host, NestedLab::EXTERNAL, 1500),
                End::new(server, NestedLab::SERVER, 1500),
            ),
        ];
        for (a, b) in ends {
            link::veth(a, b)?;
        }
        for netns in [out, host] {
            // As on a machine without br_netfilter; Docker's default concerns bridged traffic only.
            bridge::set_netfilter(netns, false)?;
            netns.forward()?;
        }
        bridge::add(out, NestedLab::INNER_BRIDGE, &[NestedLab::INNER_PORT], None)?;
        bridge::add(
            host,
            NestedLab::OUTER_BRIDGE,
            &[NestedLab::OUTER_PORT],
            self.bridge,
        )?;
        for end in ends.iter().flat_map(|(a, b)| [a, b]) {
            link::set_offloads(end.netns, end.name, self.offloads)?;
        }
        for (netns, name) in [
            (out, NestedLab::INNER_BRIDGE),
            (host, NestedLab::OUTER_BRIDGE),
        ] {
            link::set_offloads(netns, name, self.offloads)?;
        }
        Ok(())
    }

    fn address(self, lab: &NestedLab) -> Result<()> {
        lab.inside()?.ip(&[
            INNER.assign(Self::INSIDE, NestedLab::CONTAINER),
            INNER.default_gateway(Self::GATEWAY),
        ]
        .concat())?;
        lab.out()?.ip(&[
            INNER.assign(Self::GATEWAY, NestedLab::INNER_BRIDGE),
            OUTER.assign(Self::INSIDE, NestedLab::UPLINK),
            OUTER.default_gateway(Self::GATEWAY),
        ]
        .concat())?;
        lab.host()?.ip(&[
            OUTER.assign(Self::GATEWAY, NestedLab::OUTER_BRIDGE),
            EXTERNAL.assign(Self::GATEWAY, NestedLab::EXTERNAL),
            INNER.route_through(OUTER, Self::INSIDE),
        ]
        .concat())?;
        lab.server()?.ip(&[
            EXTERNAL.assign(Self::SERVER, NestedLab::SERVER),
            EXTERNAL.default_gateway(Self::GATEWAY),
        ]
        .concat())
    }
}

/// A nested topology that was built.
#[derive(Debug)]
pub struct NestedLab {
    /// Its namespaces.
    pub lab: Lab,
}

impl NestedLab {
    /// The container's interface.
    pub const CONTAINER: &'static str = "eth0";
    /// The container's veth peer in `out`.
    pub const INNER_PORT: &'static str = "veth3f2a91c";
    /// The bridge in `out`.
    pub const INNER_BRIDGE: &'static str = "docker0";
    /// `out`'s own interface.
    pub const UPLINK: &'static str = "eth0";
    /// Its veth peer in `host`.
    pub const OUTER_PORT: &'static str = "veth7be04d1";
    /// The bridge in `host`.
    pub const OUTER_BRIDGE: &'static str = "br0";
    /// The host's interface to the server.
    pub const EXTERNAL: &'static str = "ext0";
    /// The server's interface.
    pub const SERVER: &'static str = "eth0";

    /// An address of the server's subnet that nobody has, with a link-layer address that nobody has
    /// either, so that what is sent there is lost without a word.
    ///
    /// # Errors
    ///
    /// ip fails.
    pub fn dead_address(&self) -> Result<IpAddr> {
        let address = EXTERNAL.host(Nested::SERVER + 1, Family::V4);
        self.host()?.ip(&format!(
            "neigh add {address} lladdr 02:00:00:00:de:ad nud permanent dev {}\n",
            NestedLab::EXTERNAL
        ))?;
        Ok(address)
    }

    /// Puts an opaque wire in the place of the link between the host and the server. Its ends have
    /// the names, the addresses and the routes of that link. Drop it before the lab.
    ///
    /// # Errors
    ///
    /// The kernel has no TUN, or there is such a wire already and it was kept.
    pub fn opaque_wire(&self, policy: Policy) -> Result<Wire> {
        let (host, server) = (self.host()?, self.server()?);
        host.ip(&format!("link del {}\n", Self::EXTERNAL))?;
        let wire = Wire::new(
            End::new(host, Self::EXTERNAL, 1500),
            End::new(server, Self::SERVER, 1500),
            policy,
        )?;
        host.ip(&EXTERNAL.assign(Nested::GATEWAY, Self::EXTERNAL))?;
        server.ip(&[
            EXTERNAL.assign(Nested::SERVER, Self::SERVER),
            EXTERNAL.default_gateway(Nested::GATEWAY),
        ]
        .concat())?;
        Ok(wire)
    }
}

roles!(NestedLab {
    /// The container.
    inside: "in",
    /// The container's host, itself a container.
    out: "out",
    /// The machine.
    host: "host",
    /// The server.
    server: "srv",
});
transfers!(NestedLab, inside, |_, family| EXTERNAL
    .host(Nested::SERVER, family));
