//! Two gateways that carry packets between a client and a server by other means than a tunnel device of two
//! ends: IPsec, MACsec, or what a route puts before packets.
//!
//! ```text
//!  in             node1                              node2             srv
//!  ┌──────┐       ┌──────────────────┐    ┌──────────────────┐       ┌──────┐
//!  │ eth0─┼───────┼─veth6d20c4b  eth0┼────┼eth0  veth83b1f5e─┼───────┼─eth0 │
//!  │ .2   │       │ .1           .17 │    │ .18           .1 │       │ .10  │
//!  └──────┘       └──────────────────┘    └──────────────────┘       └──────┘
//!    192.0.2.0/28      198.51.100.16/28         203.0.113.0/28
//! ```

use std::net::IpAddr;

use anyhow::Result;

use crate::address::{EXTERNAL, Family, INNER, Subnet, UNDERLAY};
use crate::lifetime::Lab;
use crate::link::{self, End};
use crate::netns::Netns;

/// How the gateways carry packets to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// IPsec tunnel mode, by policies alone.
    Policy,
    /// IPsec tunnel mode, by interfaces of type xfrm.
    Interface,
    /// IPsec tunnel mode, by interfaces of type vti.
    Vti,
    /// MACsec on their link.
    Macsec,
    /// A label for MPLS, on the way to the server.
    Mpls,
    /// A segment routing header in a packet of their own (SRv6), on the way to the server.
    Segments,
}

/// A client and a server behind two gateways.
#[derive(Debug, Clone, Copy)]
pub struct SiteToSite {
    /// How packets get from one to the other.
    pub by: By,
    /// MTU of the client's and the server's links; all others have 1500.
    pub ends: u32,
}

/// One of the two and what differs.
struct Node<'a> {
    netns: &'a Netns,
    /// Its host number in [`UNDERLAY`].
    number: u8,
    /// Its interface to its end.
    port: &'static str,
    own: Subnet,
    other: Subnet,
}

/// The key of AES-GCM with its salt, which is secret to nobody.
const KEY: &str = "0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";
/// What tells the interfaces of IPsec from others.
const ID: u32 = 7;
/// The label that stands for the server.
const LABEL: u32 = 100;

impl SiteToSite {
    const GATEWAY: u8 = 1;
    const CLIENT: u8 = 2;
    const SERVER: u8 = 10;

    /// Builds it.
    ///
    /// # Errors
    ///
    /// Not root, the kernel has no such means, or a tool fails.
    pub fn build(self) -> Result<SiteToSiteLab> {
        let mut lab = Lab::new()?;
        lab.add(&["in", "node1", "node2", "srv"])?;
        let lab = SiteToSiteLab { lab };
        let (node1, node2) = (lab.node1()?, lab.node2()?);
        link::veth(
            End::new(node1, SiteToSiteLab::UNDERLAY, 1500),
            End::new(node2, SiteToSiteLab::UNDERLAY, 1500),
        )?;
        let nodes = [
            Node {
                netns: node1,
                number: 1,
                port: SiteToSiteLab::CLIENT_PORT,
                own: INNER,
                other: EXTERNAL,
            },
            Node {
                netns: node2,
                number: 2,
                port: SiteToSiteLab::SERVER_PORT,
                own: EXTERNAL,
                other: INNER,
            },
        ];
        let ends = [(lab.inside()?, Self::CLIENT), (lab.server()?, Self::SERVER)];
        for (node, (end, number)) in nodes.iter().zip(ends) {
            self.attach(node, end, number)?;
        }
        for node in &nodes {
            self.carry(node)?;
        }
        Ok(lab)
    }

    fn attach(self, node: &Node<'_>, end: &Netns, number: u8) -> Result<()> {
        link::veth(
            End::new(end, SiteToSiteLab::CONTAINER, self.ends),
            End::new(node.netns, node.port, self.ends),
        )?;
        node.netns.forward()?;
        node.netns.ip(&[
            node.own.assign(Self::GATEWAY, node.port),
            UNDERLAY.assign(node.number, SiteToSiteLab::UNDERLAY),
        ]
        .concat())?;
        end.ip(&[
            node.own.assign(number, SiteToSiteLab::CONTAINER),
            node.own.default_gateway(Self::GATEWAY),
        ]
        .concat())?;
        for (netns, name) in [
            (end, SiteToSiteLab::CONTAINER),
            (node.netns, node.port),
            (node.netns, SiteToSiteLab::UNDERLAY),
        ] {
            link::set_offloads(netns, name, false)?;
        }
        Ok(())
    }

    /// Makes what a node sends to the other side go there.
    fn carry(self, node: &Node<'_>) -> Result<()> {
        let plain = node.other.route_through(UNDERLAY, 3 - node.number);
        let to = node.other.prefix(Family::V4);
        let [local, remote] =
            [node.number, 3 - node.number].map(|it| UNDERLAY.host(it, Family::V4));
        match self.by {
            By::Policy => node.netns.ip(&[plain, ipsec(node, "")].concat()),
            By::Interface => node.netns.ip(&format!(
                "link add ipsec0 type xfrm dev {} if_id {ID}\nlink set ipsec0 mtu 1500 up\n\
                 route add {to} dev ipsec0\n{}",
                SiteToSiteLab::UNDERLAY,
                ipsec(node, &format!("if_id {ID}")),
            )),
            By::Vti => node.netns.ip(&format!(
                "link add vti1 type vti local {local} remote {remote} key {ID}\n\
                 link set vti1 mtu 1500 up\nroute add {to} dev vti1\n{}",
                ipsec(node, &format!("mark {ID}")),
            )),
            By::Macsec => self.encrypt_link(node),
            By::Mpls if node.number == 1 => node.netns.ip(&format!(
                "route add {to} encap mpls {LABEL} via inet {remote} dev {}\n",
                SiteToSiteLab::UNDERLAY
            )),
            By::Mpls => {
                node.netns.ip(&plain)?;
                node.netns.sysctl("mpls/platform_labels", "1000")?;
                let input = format!("mpls/conf/{}/input", SiteToSiteLab::UNDERLAY);
                node.netns.sysctl(&input, "1")?;
                let server = node.own.host(Self::SERVER, Family::V4).to_string();
                let label = LABEL.to_string();
                let add = ["-f", "mpls", "route", "add", &label, "via", "inet"];
                let to = [server.as_str(), "dev", node.port];
                node.netns.ip_output(&[&add[..], &to].concat()).map(drop)
            }
            By::Segments if node.number == 1 => {
                let to = node.other.prefix(Family::V6);
                let segment = UNDERLAY.host(2, Family::V6);
                node.netns.ip(&format!(
                    "route add {to} encap seg6 mode encap segs {segment} dev {}\n",
                    SiteToSiteLab::UNDERLAY
                ))
            }
            By::Segments => {
                for device in ["all", SiteToSiteLab::UNDERLAY] {
                    let key = format!("ipv6/conf/{device}/seg6_enabled");
                    node.netns.sysctl(&key, "1")?;
                }
                node.netns.ip(&plain)
            }
        }
    }

    /// Puts MACsec on the link between the two, and the routes over it.
    fn encrypt_link(self, node: &Node<'_>) -> Result<()> {
        let device = SiteToSiteLab::UNDERLAY;
        let ethernet = |number: u8| format!("02:00:5e:00:53:1{number}");
        let (own, other) = (node.number, 3 - node.number);
        let key = |number: u8| format!("key 0{number} {}", format!("0{number}").repeat(16));
        let peer = format!("macsec add macsec0 rx port 1 address {}", ethernet(other));
        node.netns.ip(&format!(
            "link set {device} down address {}\nlink set {device} up\n\
             addr flush dev {device}\n\
             link add link {device} macsec0 type macsec port 1 encrypt on\n\
             macsec add macsec0 tx sa 0 pn 1 on {}\n{peer}\n{peer} sa 0 pn 1 on {}\n\
             link set macsec0 up\n{}{}",
            ethernet(own),
            key(own),
            key(other),
            UNDERLAY.assign(own, "macsec0"),
            node.other.route_through(UNDERLAY, other),
        ))
    }
}

/// The `ip` commands for IPsec in tunnel mode between the two, `by` what tells it from others.
fn ipsec(node: &Node<'_>, by: &str) -> String {
    let host = |number: u8| -> IpAddr { UNDERLAY.host(number, Family::V4) };
    let (own, other) = (node.number, 3 - node.number);
    let state = |from: u8, to: u8| {
        format!(
            "xfrm state add src {} dst {} proto esp spi 0x100{from} reqid 1 mode tunnel {by} \
             aead rfc4106(gcm(aes)) {KEY} 128\n",
            host(from),
            host(to)
        )
    };
    let [own_net, other_net] = [node.own, node.other].map(|it| it.prefix(Family::V4));
    let policy = |direction: &str| {
        let (nets, ends) = match direction {
            "out" => ([&own_net, &other_net], [own, other]),
            _ => ([&other_net, &own_net], [other, own]),
        };
        format!(
            "xfrm policy add src {} dst {} dir {direction} {by} tmpl src {} dst {} proto esp \
             reqid 1 mode tunnel\n",
            nets[0],
            nets[1],
            host(ends[0]),
            host(ends[1])
        )
    };
    [
        state(1, 2),
        state(2, 1),
        policy("out"),
        policy("fwd"),
        policy("in"),
    ]
    .concat()
}

/// Gateways that were built.
#[derive(Debug)]
pub struct SiteToSiteLab {
    /// Its namespaces.
    pub lab: Lab,
}

impl SiteToSiteLab {
    /// The client's interface, and the server's.
    pub const CONTAINER: &'static str = "eth0";
    /// The client's veth peer in `node1`.
    pub const CLIENT_PORT: &'static str = "veth6d20c4b";
    /// The server's veth peer in `node2`.
    pub const SERVER_PORT: &'static str = "veth83b1f5e";
    /// Each node's interface to the other.
    pub const UNDERLAY: &'static str = "eth0";
}

roles!(SiteToSiteLab {
    /// The client.
    inside: "in",
    /// Its gateway.
    node1: "node1",
    /// The server's gateway.
    node2: "node2",
    /// The server.
    server: "srv",
});
transfers!(SiteToSiteLab, inside, |_, family| EXTERNAL
    .host(SiteToSite::SERVER, family));
