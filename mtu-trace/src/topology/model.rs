//! What the network looks like: namespaces, their links, and how links meet.
//!
//! Plain values that serialize, so that a capture can hold them and a replay needs no live host.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

/// A network namespace: its cookie, unique for the boot, or where the kernel has none its inode
/// number. The kernel programs use the same number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NetnsId(pub u64);

/// Every namespace that is known, the ones already gone included while something refers to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// By identity.
    pub namespaces: BTreeMap<NetnsId, Netns>,
}

/// One network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netns {
    /// Inode number of the namespace file; reused once the namespace is gone.
    pub inode: u64,
    /// Cookie (`SO_NETNS_COOKIE`), `None` before Linux 5.14.
    pub cookie: Option<u64>,
    /// Name given by `ip netns`.
    pub name: Option<String>,
    /// Container whose network this is.
    pub container: Option<Container>,
    /// The process with the lowest pid in it, for want of a better name.
    pub process: Option<Process>,
    /// Whether it is the namespace of the host's first process.
    pub init: bool,
    /// Whether it has been destroyed; what is said of it is what was last known.
    #[serde(default)]
    pub gone: bool,
    /// Whether it forwards IPv4 packets (`net.ipv4.ip_forward`, or `forwarding` of any device).
    pub forwards_ipv4: bool,
    /// Whether it forwards IPv6 packets (`net.ipv6.conf.all.forwarding`).
    pub forwards_ipv6: bool,
    /// By interface index.
    pub links: BTreeMap<u32, Link>,
}

/// A container, as far as it is known from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Identifier given by the engine, 64 hexadecimal digits with most of them.
    pub id: String,
    /// Name given by the user or the engine.
    pub name: Option<String>,
    /// Image it was made from.
    pub image: Option<String>,
    /// Engine: `docker`, `containerd`, `cri-o`, `podman`, …
    pub runtime: String,
    /// Kubernetes pod UID.
    pub pod: Option<String>,
    /// Namespace of the container it runs in.
    pub parent: Option<NetnsId>,
}

/// A process that lives in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process identifier in the tracer's pid namespace.
    pub pid: i32,
    /// Command name, at most 15 bytes, made printable.
    pub comm: String,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Name, made printable.
    pub name: String,
    /// `IFLA_INFO_KIND` (`veth`, `bridge`, `vxlan`, …), `loopback`, or `physical`.
    pub kind: String,
    /// MTU in bytes, as `ip link` prints it.
    pub mtu_bytes: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Interface index of the bridge or bond it is a port of, in the same namespace.
    pub master: Option<u32>,
    /// The other end of a veth, or the lower device of a stacked one.
    pub peer: Option<Peer>,
    /// Addresses with their prefix lengths.
    pub addresses: Vec<Address>,
}

/// Where a link's other end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its namespace, `None` when that is not among the known ones.
    pub netns: Option<NetnsId>,
    /// Its interface index there.
    pub ifindex: u32,
}

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Length of its network prefix in bits.
    pub prefix_len: u8,
}

impl Topology {
    /// A link by namespace and interface index.
    #[must_use]
    pub fn link(&self, netns: NetnsId, ifindex: u32) -> Option<&Link> {
        self.namespaces.get(&netns)?.links.get(&ifindex)
    }

    /// The namespace and interface that own an address, in the given namespace.
    #[must_use]
    pub fn owner(&self, netns: NetnsId, address: IpAddr) -> Option<(u32, &Link)> {
        let links = &self.namespaces.get(&netns)?.links;
        links
            .iter()
            .find(|(_, link)| link.addresses.iter().any(|own| own.address == address))
            .map(|(&ifindex, link)| (ifindex, link))
    }
}
