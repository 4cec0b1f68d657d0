//! A client and a server whose packets go one way and come back another, over two routers.
//!
//! ```text
//!  in                           forth                         srv
//!  ┌────────┐                   ┌─────────────┐               ┌────────┐
//!  │   eth0─┼──────────────────►│ eth0   eth1 ├──────────────►│ eth0   │
//!  │ .2     │   192.0.2.0/28    │ .1       .1 │ 203.0.113.0   │ .10    │
//!  │        │                   └─────────────┘ /28           │        │
//!  │        │                   back                          │        │
//!  │        │                   ┌─────────────┐               │        │
//!  │   eth1◄┼───────────────────┤ eth0   eth1 │◄──────────────┼─eth1   │
//!  │ .2     │   192.0.2.16/28   │ .1       .1 │ 198.51.100.0  │ .10    │
//!  └────────┘                   └─────────────┘ /28           └────────┘
//! ```
//!
//! The client is 192.0.2.2 and the server 203.0.113.10, whichever way a packet goes.

use anyhow::Result;

use crate::address::{EXTERNAL, INNER, MIDDLE, OUTER, Subnet};
use crate::lifetime::Lab;
use crate::link::{self, End};
use crate::netns::Netns;

/// What may be wrong in the asymmetric topology. The default has nothing wrong: 1500 everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Asymmetric {
    /// MTU of the link from the router `forth` to the server, at both ends.
    pub forth: u32,
    /// MTU of the link from the router `back` to the client, at both ends.
    pub back: u32,
    /// Segmentation and receive offloads, of every interface.
    pub offloads: bool,
}

impl Default for Asymmetric {
    fn default() -> Self {
        Self {
            forth: 1500,
            back: 1500,
            offloads: false,
        }
    }
}

impl Asymmetric {
    const ROUTER: u8 = 1;
    const CLIENT: u8 = 2;
    const SERVER: u8 = 10;

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, or a tool fails.
    pub fn build(self) -> Result<AsymmetricLab> {
        let mut lab = Lab::new()?;
        lab.add(&["in", "forth", "back", "srv"])?;
        let asymmetric = AsymmetricLab { lab };
        let (client, server) = (asymmetric.client()?, asymmetric.server()?);
        let (forth, back) = (asymmetric.forth()?, asymmetric.back()?);
        for netns in [client, server, forth, back] {
            // What comes another way than it would go is what this is about.
            for which in ["all", "default"] {
                netns.sysctl(&format!("ipv4/conf/{which}/rp_filter"), "0")?;
            }
        }
        self.add_router(
            client,
            forth,
            server,
            AsymmetricLab::FORTH,
            [1500, self.forth],
        )?;
        self.add_router(client, back, server, AsymmetricLab::BACK, [self.back, 1500])?;
        client.ip(&[
            INNER.assign(Self::CLIENT, AsymmetricLab::FORTH),
            MIDDLE.assign(Self::CLIENT, AsymmetricLab::BACK),
            EXTERNAL.route_through(INNER, Self::ROUTER),
            OUTER.route_through(MIDDLE, Self::ROUTER),
        ]
        .concat())?;
        server.ip(&[
            EXTERNAL.assign(Self::SERVER, AsymmetricLab::FORTH),
            OUTER.assign(Self::SERVER, AsymmetricLab::BACK),
            INNER.route_through(OUTER, Self::ROUTER),
            MIDDLE.route_through(OUTER, Self::ROUTER),
        ]
        .concat())?;
        // Either router reaches what it has no link to through the end that it came from.
        Self::address_router(forth, INNER, EXTERNAL)?;
        Self::address_router(back, MIDDLE, OUTER)?;
        forth.ip(&MIDDLE.route_through(INNER, Self::CLIENT))?;
        forth.ip(&OUTER.route_through(EXTERNAL, Self::SERVER))?;
        back.ip(&INNER.route_through(MIDDLE, Self::CLIENT))?;
        back.ip(&EXTERNAL.route_through(OUTER, Self::SERVER))?;
        Ok(asymmetric)
    }

    /// Connects a router to both ends, which call their interface to it `name`.
    fn add_router(
        self,
        client: &Netns,
        router: &Netns,
        server: &Netns,
        name: &str,
        mtus: [u32; 2],
    ) -> Result<()> {
        router.forward()?;
        let ends = [
            (client, AsymmetricLab::TO_CLIENT),
            (server, AsymmetricLab::TO_SERVER),
        ];
        for ((netns, port), mtu) in ends.into_iter().zip(mtus) {
            let near = End { netns, name, mtu };
            let far = End::new(router, port, mtu);
            link::veth(near, far)?;
            for end in [near, far] {
                link::set_offloads(end.netns, end.name, self.offloads)?;
            }
        }
        Ok(())
    }

    fn address_router(router: &Netns, client: Subnet, server: Subnet) -> Result<()> {
        router.ip(&[
            client.assign(Self::ROUTER, AsymmetricLab::TO_CLIENT),
            server.assign(Self::ROUTER, AsymmetricLab::TO_SERVER),
        ]
        .concat())
    }
}

/// An asymmetric topology that was built.
#[derive(Debug)]
pub struct AsymmetricLab {
    /// Its namespaces.
    pub lab: Lab,
}

impl AsymmetricLab {
    /// The interface of either end to the router `forth`.
    pub const FORTH: &'static str = "eth0";
    /// The interface of either end to the router `back`.
    pub const BACK: &'static str = "eth1";
    /// The interface of either router to the client.
    pub const TO_CLIENT: &'static str = "eth0";
    /// The interface of either router to the server.
    pub const TO_SERVER: &'static str = "eth1";
}

roles!(AsymmetricLab {
    /// The client.
    client: "in",
    /// The router of what the client sends.
    forth: "forth",
    /// The router of what the server sends.
    back: "back",
    /// The server.
    server: "srv",
});
transfers!(AsymmetricLab, client, |_, family| EXTERNAL
    .host(Asymmetric::SERVER, family));
