//! A host that reaches the server over an 802.1Q VLAN: tagged frames on an interface that carries
//! others too.
//!
//! ```text
//!  in                    host                                srv
//!  ┌────────┐            ┌───────────────────────┐           ┌──────────────────┐
//!  │   eth0─┼────────────┼─veth2b8e5d0    ext0.7─┐           ┌─eth0.7           │
//!  │ .2     │            │ .1             .1    ext0 ───────eth0           .10  │
//!  └────────┘            └───────────────────────┘           └──────────────────┘
//!         198.51.100.0/28                     203.0.113.0/28
//! ```

use anyhow::Result;

use crate::address::{EXTERNAL, OUTER};
use crate::lifetime::Lab;
use crate::link::{self, End};

/// What may be wrong in the trunk topology. The default has nothing wrong: 1500 everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Trunk {
    /// MTU of the host's VLAN interface. The kernel allows none above that of what it is on, 1500.
    pub vlan: u32,
    /// Tags are written into the frames, which become longer, instead of beside them
    /// (`NETIF_F_HW_VLAN_CTAG_TX`).
    pub written: bool,
    /// Segmentation and receive offloads, of every interface.
    pub offloads: bool,
}

impl Default for Trunk {
    fn default() -> Self {
        Self {
            vlan: 1500,
            written: false,
            offloads: false,
        }
    }
}

impl Trunk {
    const GATEWAY: u8 = 1;
    const CLIENT: u8 = 2;
    const SERVER: u8 = 10;
    /// The VLAN's number.
    const ID: u16 = 7;

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, the kernel has no VLANs, or a tool fails.
    pub fn build(self) -> Result<TrunkLab> {
        let mut lab = Lab::new()?;
        lab.add(&["in", "host", "srv"])?;
        let trunk = TrunkLab { lab };
        let (client, host, server) = (trunk.client()?, trunk.host()?, trunk.server()?);
        let pairs = [
            [(client, TrunkLab::CLIENT), (host, TrunkLab::CLIENT_PORT)],
            [(host, TrunkLab::LOWER), (server, TrunkLab::SERVER_LOWER)],
        ];
        for pair in pairs {
            let [a, b] = pair.map(|(netns, name)| End::new(netns, name, 1500));
            link::veth(a, b)?;
            for end in [a, b] {
                link::set_offloads(end.netns, end.name, self.offloads)?;
            }
        }
        for (netns, lower, name, mtu) in [
            (host, TrunkLab::LOWER, TrunkLab::VLAN, self.vlan),
            (server, TrunkLab::SERVER_LOWER, TrunkLab::SERVER, 1500),
        ] {
            if self.written {
                link::write_tags(netns, lower)?;
            }
            netns.ip(&format!(
                "link add link {lower} name {name} mtu {mtu} type vlan id {}\nlink set {name} up\n",
                Self::ID
            ))?;
            link::set_offloads(netns, name, self.offloads)?;
        }
        host.forward()?;
        client.ip(&[
            OUTER.assign(Self::CLIENT, TrunkLab::CLIENT),
            OUTER.default_gateway(Self::GATEWAY),
        ]
        .concat())?;
        host.ip(&[
            OUTER.assign(Self::GATEWAY, TrunkLab::CLIENT_PORT),
            EXTERNAL.assign(Self::GATEWAY, TrunkLab::VLAN),
        ]
        .concat())?;
        server.ip(&[
            EXTERNAL.assign(Self::SERVER, TrunkLab::SERVER),
            EXTERNAL.default_gateway(Self::GATEWAY),
        ]
        .concat())?;
        Ok(trunk)
    }
}

/// A trunk topology that was built.
#[derive(Debug)]
pub struct TrunkLab {
    /// Its namespaces.
    pub lab: Lab,
}

impl TrunkLab {
    /// The client's interface.
    pub const CLIENT: &'static str = "eth0";
    /// Its veth peer.
    pub const CLIENT_PORT: &'static str = "veth2b8e5d0";
    /// The host's interface to the server.
    pub const LOWER: &'static str = "ext0";
    /// The host's VLAN on it.
    pub const VLAN: &'static str = "ext0.7";
    /// The server's interface to the host.
    pub const SERVER_LOWER: &'static str = "eth0";
    /// The server's VLAN on it.
    pub const SERVER: &'static str = "eth0.7";
}

roles!(TrunkLab {
    /// The client.
    client: "in",
    /// The machine.
    host: "host",
    /// The server.
    server: "srv",
});
transfers!(TrunkLab, client, |_, family| EXTERNAL
    .host(Trunk::SERVER, family));
