//! A client and a server on one bridge: layer 2 only, so nobody can send an ICMP.
//!
//! ```text
//!  in                        sw                             srv
//!  ┌───────────────┐         ┌────────────────────┐         ┌───────────────┐
//!  │ .2      eth0──┼─────────┼─veth5c0d2a8        │         │               │
//!  └───────────────┘         │        br0         │         │               │
//!                            │        veth91fe37b─┼─────────┼──eth0     .10 │
//!                            └────────────────────┘         └───────────────┘
//!                                192.0.2.0/28
//! ```

use anyhow::Result;

use crate::address::INNER;
use crate::lifetime::Lab;
use crate::link::End;
use crate::{bridge, link};

/// What may be wrong in the switched topology. The default has nothing wrong: 1500 everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Switched {
    /// MTU of the bridge's port to the client.
    pub port: u32,
    /// MTU of the bridge; `None` lets it follow its smallest port.
    pub bridge: Option<u32>,
    /// Whether the bridge passes what it forwards through the netfilter hooks of IP.
    pub netfilter: bool,
    /// Segmentation and receive offloads, of every interface.
    pub offloads: bool,
}

impl Default for Switched {
    fn default() -> Self {
        Self {
            port: 1500,
            bridge: None,
            netfilter: false,
            offloads: false,
        }
    }
}

impl Switched {
    const CLIENT: u8 = 2;
    const SERVER: u8 = 10;

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, or a tool fails.
    pub fn build(self) -> Result<SwitchedLab> {
        let mut lab = Lab::new()?;
        lab.add(&["in", "sw", "srv"])?;
        let switched = SwitchedLab { lab };
        let (client, switch, server) = (switched.client()?, switched.switch()?, switched.server()?);
        let ends = [
            End::new(client, SwitchedLab::CLIENT, 1500),
            End::new(switch, SwitchedLab::CLIENT_PORT, self.port),
            End::new(switch, SwitchedLab::SERVER_PORT, 1500),
            End::new(server, SwitchedLab::SERVER, 1500),
        ];
        link::veth(ends[0], ends[1])?;
        link::veth(ends[2], ends[3])?;
        let ports = [SwitchedLab::CLIENT_PORT, SwitchedLab::SERVER_PORT];
        bridge::add(switch, SwitchedLab::BRIDGE, &ports, self.bridge)?;
        bridge::set_netfilter(switch, self.netfilter)?;
        for end in ends {
            link::set_offloads(end.netns, end.name, self.offloads)?;
        }
        client.ip(&INNER.assign(Self::CLIENT, SwitchedLab::CLIENT))?;
        server.ip(&INNER.assign(Self::SERVER, SwitchedLab::SERVER))?;
        Ok(switched)
    }
}

/// A switched topology that was built.
#[derive(Debug)]
pub struct SwitchedLab {
    /// Its namespaces.
    pub lab: Lab,
}

impl SwitchedLab {
    /// The client's interface.
    pub const CLIENT: &'static str = "eth0";
    /// The client's veth peer: a port of the bridge.
    pub const CLIENT_PORT: &'static str = "veth5c0d2a8";
    /// The bridge.
    pub const BRIDGE: &'static str = "br0";
    /// The server's veth peer: a port of the bridge.
    pub const SERVER_PORT: &'static str = "veth91fe37b";
    /// The server's interface.
    pub const SERVER: &'static str = "eth0";
}

roles!(SwitchedLab {
    /// The client.
    client: "in",
    /// The bridge's namespace.
    switch: "sw",
    /// The server.
    server: "srv",
});
transfers!(SwitchedLab, client, |_, family| INNER
    .host(Switched::SERVER, family));
