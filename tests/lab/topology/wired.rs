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

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use crate::{
    address::{EXTERNAL, Family},
    connection::Connection,
    lifetime::Lab,
    link::End,
    netns::Netns,
    traffic::{self, Outcome, Transfer},
    wire::{Policy, Wire},
};

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
        let [near, far] = [client, server].map(|netns| End {
            netns,
            name: WiredLab::DEVICE,
            mtu: self.mtu,
        });
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

    /// The client.
    ///
    /// # Errors
    ///
    /// Never, once built.
    pub fn client(&self) -> Result<&Netns> {
        self.lab.netns("in")
    }

    /// The server.
    ///
    /// # Errors
    ///
    /// Never, once built.
    pub fn server(&self) -> Result<&Netns> {
        self.lab.netns("srv")
    }

    /// The client's address.
    #[must_use]
    pub fn client_address(&self, family: Family) -> IpAddr {
        EXTERNAL.host(Wired::CLIENT, family)
    }

    /// The server's address.
    #[must_use]
    pub fn server_address(&self, family: Family) -> IpAddr {
        EXTERNAL.host(Wired::SERVER, family)
    }

    /// Opens a connection from the client to the server, for `transfer` to be made on it.
    ///
    /// # Errors
    ///
    /// The connection cannot be opened.
    pub fn open(&self, transfer: &Transfer) -> Result<Connection> {
        let address = SocketAddr::new(self.server_address(transfer.family), transfer.port);
        Connection::open(self.client()?, self.server()?, address, transfer.limit)
    }

    /// Makes a transfer between the client and the server.
    ///
    /// # Errors
    ///
    /// The connection cannot be opened.
    pub fn run(&self, transfer: &Transfer) -> Result<Outcome> {
        let address = self.server_address(transfer.family);
        traffic::exchange(self.client()?, self.server()?, address, transfer)
    }
}
