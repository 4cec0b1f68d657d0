//! A client and a server with an opaque wire between them: neither kernel drops anything.
//!
//! ```text
//!  in                  this process                  srv
//!  ┌────────┐      ┌──────────────────┐      ┌────────┐
//!  │   eth0─┼──────┼─     policy     ─┼──────┼─eth0   │
//!  │ .2     │      └──────────────────┘      │ .10    │
//!  └────────┘                                └────────┘
//!                  203.0.113.0/28
//! ```

use std::net::IpAddr;

use anyhow::Result;

use crate::address::{EXTERNAL, Family};
use crate::lifetime::Lab;
use crate::link::End;
use crate::wire::{Policy, Wire};

/// What may be wrong with the wire. The default has nothing wrong.
#[derive(Debug, Clone, Copy)]
pub struct Wired {
    /// MTU of both ends.
    pub mtu: u32,
    /// What happens on the way.
    pub policy: Policy,
}

impl Default for Wired {
    fn default() -> Self {
        Self {
            mtu: 1500,
            policy: Policy::Pass,
        }
    }
}

impl Wired {
    const CLIENT: u8 = 2;
    const SERVER: u8 = 10;

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, the kernel has no TUN, or a tool fails.
    pub fn build(self) -> Result<WiredLab> {
        let mut lab = Lab::new()?;
        lab.add(&["in", "srv"])?;
        let (client, server) = (lab.netns("in")?, lab.netns("srv")?);
        let [near, far] = [client, server].map(|netns| End::new(netns, WiredLab::DEVICE, self.mtu));
        let wire = Wire::new(near, far, self.policy)?;
        client.ip(&EXTERNAL.assign(Self::CLIENT, WiredLab::DEVICE))?;
        server.ip(&EXTERNAL.assign(Self::SERVER, WiredLab::DEVICE))?;
        Ok(WiredLab { wire, lab })
    }
}

/// A wired topology that was built.
#[derive(Debug)]
pub struct WiredLab {
    /// The wire; dropped before the namespaces of its ends.
    pub wire: Wire,
    /// Its namespaces.
    pub lab: Lab,
}

impl WiredLab {
    /// The interface of either end.
    pub const DEVICE: &'static str = "eth0";

    /// The client's address.
    #[must_use]
    pub fn client_address(&self, family: Family) -> IpAddr {
        EXTERNAL.host(Wired::CLIENT, family)
    }
}

roles!(WiredLab {
    /// The client.
    client: "in",
    /// The server.
    server: "srv",
});
transfers!(WiredLab, client, |_, family| EXTERNAL
    .host(Wired::SERVER, family));
