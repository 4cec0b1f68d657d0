//! A container in a container in a container: every level has its bridge and masquerades.
//!
//! ```text
//!  in          c2                        c1                        host                     srv
//!  ┌──────┐    ┌──────────────────┐      ┌──────────────────┐      ┌──────────────────┐     ┌──────┐
//!  │ eth0─┼────┼─port─docker0     │      │                  │      │            ext0──┼─────┼─eth0 │
//!  │ .2   │    │      .1    eth0──┼──────┼─port─docker0     │      │            .1    │     │ .10  │
//!  └──────┘    │            .2    │      │      .1    eth0──┼──────┼─port─docker0     │     └──────┘
//!              └──────────────────┘      │            .2    │      │      .1          │
//!                                        └──────────────────┘      └──────────────────┘
//!     192.0.2.0/28           192.0.2.16/28            198.51.100.0/28        203.0.113.0/28
//!     level 2                level 1                  level 0
//! ```

use anyhow::Result;

use crate::address::{EXTERNAL, INNER, MIDDLE, OUTER, Subnet};
use crate::lifetime::Lab;
use crate::link::{self, End};
use crate::netns::Netns;
use crate::{bridge, nat};

/// The MTUs of one level: of the link between a container and what it runs in.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    /// MTU of `eth0` of the container.
    pub container: u32,
    /// MTU of its veth peer, a port of the bridge around it, which follows.
    pub port: u32,
}

impl Level {
    /// Both ends have this MTU.
    #[must_use]
    pub const fn of(mtu: u32) -> Self {
        Self {
            container: mtu,
            port: mtu,
        }
    }
}

/// What may be wrong in the deep topology. The default has nothing wrong: 1500 everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Deep {
    /// The levels, the one on the machine itself first and the innermost container's last.
    pub levels: [Level; 3],
    /// Segmentation and receive offloads, of every interface.
    pub offloads: bool,
}

impl Default for Deep {
    fn default() -> Self {
        Self {
            levels: [Level::of(1500); 3],
            offloads: false,
        }
    }
}

impl Deep {
    /// Host number of every gateway in its subnet.
    const GATEWAY: u8 = 1;
    /// Host number of every container in its subnet.
    const CONTAINER: u8 = 2;
    /// Host number of the server in [`EXTERNAL`].
    const SERVER: u8 = 10;
    /// The network of each level.
    const SUBNETS: [Subnet; 3] = [OUTER, MIDDLE, INNER];

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, or a tool fails.
    pub fn build(self) -> Result<DeepLab> {
        let mut lab = Lab::new()?;
        lab.add(&DeepLab::ROLES)?;
        lab.add(&["srv"])?;
        let deep = DeepLab { lab };
        self.connect_server(&deep)?;
        for depth in 0..self.levels.len() {
            self.add_level(&deep, depth)?;
        }
        Ok(deep)
    }

    fn connect_server(self, deep: &DeepLab) -> Result<()> {
        let (host, server) = (deep.forwarder(0)?, deep.server()?);
        let ends = [(host, DeepLab::EXTERNAL), (server, DeepLab::CONTAINER)]
            .map(|(netns, name)| End::new(netns, name, 1500));
        link::veth(ends[0], ends[1])?;
        for end in ends {
            link::set_offloads(end.netns, end.name, self.offloads)?;
        }
        host.ip(&EXTERNAL.assign(Self::GATEWAY, DeepLab::EXTERNAL))?;
        server.ip(&EXTERNAL.assign(Self::SERVER, DeepLab::CONTAINER))
    }

    /// Adds the container of level `depth` to the one around it.
    fn add_level(self, deep: &DeepLab, depth: usize) -> Result<()> {
        let (around, container) = (
            deep.forwarder(depth)?,
            deep.lab.netns(DeepLab::ROLES[depth + 1])?,
        );
        let (level, subnet) = (self.levels[depth], Self::SUBNETS[depth]);
        let inner = End::new(container, DeepLab::CONTAINER, level.container);
        let port = End::new(around, DeepLab::PORT, level.port);
        link::veth(inner, port)?;
        around.forward()?;
        bridge::set_netfilter(around, false)?;
        bridge::add(around, DeepLab::BRIDGE, &[DeepLab::PORT], None)?;
        for (netns, name) in [
            (container, DeepLab::CONTAINER),
            (around, DeepLab::PORT),
            (around, DeepLab::BRIDGE),
        ] {
            link::set_offloads(netns, name, self.offloads)?;
        }
        around.ip(&subnet.assign(Self::GATEWAY, DeepLab::BRIDGE))?;
        container.ip(&[
            subnet.assign(Self::CONTAINER, DeepLab::CONTAINER),
            subnet.default_gateway(Self::GATEWAY),
        ]
        .concat())?;
        nat::masquerade(around, subnet, DeepLab::uplink(depth))
    }
}

/// A deep topology that was built.
#[derive(Debug)]
pub struct DeepLab {
    /// Its namespaces.
    pub lab: Lab,
}

impl DeepLab {
    /// The interface of every container, and the server's.
    pub const CONTAINER: &'static str = "eth0";
    /// The veth peer of a container's interface.
    pub const PORT: &'static str = "veth1d9f3e6";
    /// The bridge of every forwarder.
    pub const BRIDGE: &'static str = "docker0";
    /// The host's interface to the server.
    pub const EXTERNAL: &'static str = "ext0";
    /// The forwarders from the machine inwards, and the innermost container.
    const ROLES: [&'static str; 4] = ["host", "c1", "c2", "in"];

    /// What the container of level `depth` runs in: the machine for 0.
    ///
    /// # Errors
    ///
    /// There are three levels.
    pub fn forwarder(&self, depth: usize) -> Result<&Netns> {
        let role = DeepLab::ROLES[..3].get(depth).copied();
        self.lab.netns(role.unwrap_or_default())
    }

    /// The interface through which the forwarder of level `depth` masquerades.
    #[must_use]
    pub const fn uplink(depth: usize) -> &'static str {
        if depth == 0 {
            Self::EXTERNAL
        } else {
            Self::CONTAINER
        }
    }
}

roles!(DeepLab {
    /// The innermost container.
    inside: "in",
    /// The server.
    server: "srv",
});
transfers!(DeepLab, inside, |_, family| EXTERNAL
    .host(Deep::SERVER, family));
