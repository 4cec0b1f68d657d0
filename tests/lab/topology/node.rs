//! A machine whose containers come and go, as a container engine makes them.
//!
//! ```text
//!  c0, c1, …         host                              srv
//!  ┌────────┐        ┌──────────────────────────┐      ┌────────┐
//!  │   eth0─┼────────┼─veth0─br0          ext0──┼──────┼─eth0   │
//!  │ .2     │        │        .1          .1    │      │ .10    │
//!  └────────┘        └──────────────────────────┘      └────────┘
//!         198.51.100.0/28              203.0.113.0/28
//! ```

use std::net::IpAddr;

use anyhow::Result;

use crate::address::{EXTERNAL, Family, OUTER};
use crate::lifetime::Lab;
use crate::link::{self, End};
use crate::netns::Netns;
use crate::traffic::{self, Outcome, Transfer};
use crate::{bridge, command};

/// The machine's MTUs. The default has nothing wrong: 1500 everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// MTU of the host's interface to the server, whose other end has 1500.
    pub external: u32,
    /// The lab has the machine to itself.
    pub exclusive: bool,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            external: 1500,
            exclusive: false,
        }
    }
}

impl Node {
    const GATEWAY: u8 = 1;
    const CONTAINER: u8 = 2;
    const SERVER: u8 = 10;
    /// Every container's: like its address it belongs to the next one at once, and a neighbour entry
    /// of the one before must not lead astray.
    const ETHERNET: &'static str = "02:00:5e:00:53:02";

    /// Builds it, without containers.
    ///
    /// # Errors
    ///
    /// Not root, or a tool fails.
    pub fn build(self) -> Result<NodeLab> {
        let mut lab = if self.exclusive {
            Lab::exclusive()?
        } else {
            Lab::new()?
        };
        lab.add(&["host", "srv"])?;
        let node = NodeLab { lab };
        let (host, server) = (node.host()?, node.server()?);
        let external = End::new(host, NodeLab::EXTERNAL, self.external);
        let served = End::new(server, "eth0", 1500);
        link::veth(external, served)?;
        host.forward()?;
        bridge::set_netfilter(host, false)?;
        // By hand, so that it does not follow its ports.
        bridge::add(host, NodeLab::BRIDGE, &[], Some(1500))?;
        for (netns, device) in [
            (host, NodeLab::EXTERNAL),
            (server, "eth0"),
            (host, NodeLab::BRIDGE),
        ] {
            link::set_offloads(netns, device, false)?;
        }
        host.ip(&[
            OUTER.assign(Self::GATEWAY, NodeLab::BRIDGE),
            EXTERNAL.assign(Self::GATEWAY, NodeLab::EXTERNAL),
        ]
        .concat())?;
        server.ip(&[
            EXTERNAL.assign(Self::SERVER, "eth0"),
            EXTERNAL.default_gateway(Self::GATEWAY),
        ]
        .concat())?;
        Ok(node)
    }
}

/// A machine that was built.
#[derive(Debug)]
pub struct NodeLab {
    /// Its namespaces, without those of containers.
    pub lab: Lab,
}

impl NodeLab {
    /// The host's interface to the server.
    pub const EXTERNAL: &'static str = "ext0";
    /// The bridge of the containers.
    pub const BRIDGE: &'static str = "br0";
    /// A container's interface.
    pub const CONTAINER: &'static str = "eth0";

    /// The server's address.
    #[must_use]
    pub fn server_address(&self) -> IpAddr {
        EXTERNAL.host(Node::SERVER, Family::V4)
    }

    /// Makes the namespace of container `number`, still without a link. All containers have the same
    /// address, so only one at a time may have its link up.
    ///
    /// # Errors
    ///
    /// It exists already.
    pub fn container(&self, number: usize) -> Result<Container<'_>> {
        let name = format!("{}-c{number}", self.lab.id());
        command::run("ip", &["netns", "add", &name])?;
        Ok(Container {
            node: self,
            netns: Netns::open("container", &name)?,
            port: format!("veth{number}"),
        })
    }
}

roles!(NodeLab {
    /// The machine.
    host: "host",
    /// The server.
    server: "srv",
});

/// A container's namespace; removed when dropped.
#[derive(Debug)]
pub struct Container<'a> {
    node: &'a NodeLab,
    /// The namespace.
    pub netns: Netns,
    /// The host's end of its link, a port of the bridge.
    pub port: String,
}

impl Container<'_> {
    /// Makes the link and gives the container its address: the steps of a container engine, in two
    /// batches. `mtu` is that of the container's end, `port_mtu` that of the host's.
    ///
    /// # Errors
    ///
    /// ip fails.
    pub fn connect(&self, mtu: u32, port_mtu: u32) -> Result<()> {
        let (port, name, bridge) = (&self.port, self.netns.name(), NodeLab::BRIDGE);
        let (eth0, ethernet) = (NodeLab::CONTAINER, Node::ETHERNET);
        self.node.host()?.ip(&format!(
            "link add {port} mtu {port_mtu} type veth peer name {port}c mtu {mtu} address {ethernet}\n\
             link set {port} master {bridge}\n\
             link set {bridge} mtu 1500\n\
             link set {port} up\n\
             link set {port}c netns {name} name {eth0}\n"
        ))?;
        let gateway = OUTER.host(Node::GATEWAY, Family::V4);
        let address = OUTER.host(Node::CONTAINER, Family::V4);
        self.netns.ip(&format!(
            "addr add {address}/28 dev {eth0}\nlink set {eth0} up\nroute add default via {gateway}\n"
        ))
    }

    /// Makes a transfer between the container and the server.
    ///
    /// # Errors
    ///
    /// The connection cannot be opened.
    pub fn run(&self, transfer: &Transfer) -> Result<Outcome> {
        let address = self.node.server_address();
        traffic::exchange(&self.netns, self.node.server()?, address, transfer)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // What is left is removed with the lab.
        let _ = command::run("ip", &["netns", "del", self.netns.name()]);
    }
}
