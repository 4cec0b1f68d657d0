//! Two containers with macvlan interfaces on the host's own: no bridge, no forwarding.
//!
//! ```text
//!  in                    host                        srv
//!  ┌────────┐            ┌───────────────┐           ┌────────┐
//!  │   eth0─┼── macvlan ─┼─┐             │           │        │
//!  │ .2     │            │ ├─ ext0 ──────┼───────────┼─eth0   │
//!  └────────┘            │ │             │           │ .10    │
//!  ┌────────┐            │ │             │           └────────┘
//!  │   eth0─┼── macvlan ─┼─┘             │
//!  │ .3     │            └───────────────┘
//!  └────────┘            203.0.113.0/28
//!  in2
//! ```

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use crate::address::{EXTERNAL, Family};
use crate::connection::Connection;
use crate::lifetime::Lab;
use crate::link::{self, End};
use crate::traffic::Transfer;

/// What may be wrong in the macvlan topology. The default has nothing wrong: 1500 everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Macvlan {
    /// MTUs of the two containers' interfaces. The kernel allows none above `lower`.
    pub containers: [u32; 2],
    /// MTU of the host's interface, which carries both.
    pub lower: u32,
    /// MTU of the server's interface.
    pub far: u32,
    /// Segmentation and receive offloads, of every interface.
    pub offloads: bool,
}

impl Default for Macvlan {
    fn default() -> Self {
        Self {
            containers: [1500; 2],
            lower: 1500,
            far: 1500,
            offloads: false,
        }
    }
}

impl Macvlan {
    /// Host number of the first container; that of the second follows.
    const FIRST: u8 = 2;
    const SERVER: u8 = 10;

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, the kernel has no macvlan, or a tool fails.
    pub fn build(self) -> Result<MacvlanLab> {
        let mut lab = Lab::new()?;
        lab.add(&["in", "in2", "host", "srv"])?;
        let macvlan = MacvlanLab { lab };
        let (host, server) = (macvlan.host()?, macvlan.server()?);
        let lower = End::new(host, MacvlanLab::LOWER, self.lower);
        let far = End::new(server, MacvlanLab::DEVICE, self.far);
        link::veth(lower, far)?;
        for end in [lower, far] {
            link::set_offloads(end.netns, end.name, self.offloads)?;
        }
        server.ip(&EXTERNAL.assign(Self::SERVER, MacvlanLab::DEVICE))?;
        for (number, (container, mtu)) in (Self::FIRST..).zip(
            [macvlan.first()?, macvlan.second()?]
                .into_iter()
                .zip(self.containers),
        ) {
            host.ip(&format!(
                "link add link {} name {} mtu {mtu} netns {} type macvlan mode bridge\n",
                MacvlanLab::LOWER,
                MacvlanLab::DEVICE,
                container.name()
            ))?;
            link::set_offloads(container, MacvlanLab::DEVICE, self.offloads)?;
            container.ip(&format!(
                "link set {} up\n{}",
                MacvlanLab::DEVICE,
                EXTERNAL.assign(number, MacvlanLab::DEVICE)
            ))?;
        }
        Ok(macvlan)
    }
}

/// A macvlan topology that was built.
#[derive(Debug)]
pub struct MacvlanLab {
    /// Its namespaces.
    pub lab: Lab,
}

impl MacvlanLab {
    /// The interface of either container, a macvlan, and the server's.
    pub const DEVICE: &'static str = "eth0";
    /// The host's interface, which the macvlans are on.
    pub const LOWER: &'static str = "ext0";

    /// The second container's address.
    #[must_use]
    pub fn second_address(&self, family: Family) -> IpAddr {
        EXTERNAL.host(Macvlan::FIRST + 1, family)
    }

    /// Opens a connection from the first container to the second.
    ///
    /// # Errors
    ///
    /// The connection cannot be opened.
    pub fn open_beside(&self, transfer: &Transfer) -> Result<Connection> {
        let address = SocketAddr::new(self.second_address(transfer.family), transfer.port);
        Connection::open(self.first()?, self.second()?, address, transfer.limit)
    }
}

roles!(MacvlanLab {
    /// The first container.
    first: "in",
    /// The second container.
    second: "in2",
    /// The machine.
    host: "host",
    /// The server.
    server: "srv",
});
transfers!(MacvlanLab, first, |_, family| EXTERNAL
    .host(Macvlan::SERVER, family));
