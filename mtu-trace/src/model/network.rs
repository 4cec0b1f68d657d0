//! What the network looks like: namespaces, their links, and how links meet.
//!
//! Plain values that serialize, so that a capture can hold them and a replay needs no live host.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::text::stored::{printable, printable_or_none};
pub use crate::model::link_kind::{LinkKind, LinkRole};

/// A network namespace: its cookie, unique for the boot, or where the kernel has none its inode
/// number. The kernel programs use the same number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NetnsId(pub u64);

/// A link by its namespace and its interface index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// Namespace of the link.
    pub netns: NetnsId,
    /// Interface index of the link in that namespace.
    pub ifindex: u32,
}

/// Every namespace that is known, the ones already gone included while something refers to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The namespaces, by identity.
    pub namespaces: BTreeMap<NetnsId, Netns>,
}

/// A network namespace as it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netns {
    /// Inode number of the namespace file; reused once the namespace is gone.
    pub inode: u64,
    /// Cookie (`SO_NETNS_COOKIE`), `None` before Linux 5.14.
    pub cookie: Option<u64>,
    /// Name given by `ip netns`.
    #[serde(deserialize_with = "printable_or_none")]
    pub name: Option<String>,
    /// Container whose network this is.
    pub container: Option<Container>,
    /// The process with the lowest pid in it, for want of a better name.
    pub process: Option<Process>,
    /// systemd unit of that process, such as `docker.service`.
    #[serde(default, deserialize_with = "printable_or_none")]
    pub unit: Option<String>,
    /// Whether it is the namespace of the host's first process.
    pub init: bool,
    /// Whether it has been destroyed; what is said of it is what was last known.
    #[serde(default)]
    pub gone: bool,
    /// Whether it forwards IPv4 packets (`net.ipv4.ip_forward`, or `forwarding` of any device).
    pub forwards_ipv4: bool,
    /// Whether it forwards IPv6 packets (`net.ipv6.conf.all.forwarding`).
    pub forwards_ipv6: bool,
    /// Its links, by interface index.
    pub links: BTreeMap<u32, Link>,
    /// What only a look from inside tells; `None` until there was one.
    #[serde(default)]
    pub inside: Option<Arc<Inside>>,
    /// What it is, if it is only thought of. No capture has such a one.
    #[serde(skip)]
    pub planned: Option<PlannedContainer>,
}

/// The network of a container that nobody has started yet, on a bridge that has no ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedContainer {
    /// Name of the bridge.
    pub bridge: String,
    /// Namespace of the bridge, and of the engine that would start it.
    pub parent: NetnsId,
}

/// A container, as far as it is known from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Identifier given by the engine, 64 hexadecimal digits with most of them.
    #[serde(deserialize_with = "printable")]
    pub id: String,
    /// Name given by the user or the engine.
    #[serde(deserialize_with = "printable_or_none")]
    pub name: Option<String>,
    /// Image it was made from.
    #[serde(deserialize_with = "printable_or_none")]
    pub image: Option<String>,
    /// Engine: `docker`, `containerd`, `cri-o`, `podman`, …
    #[serde(deserialize_with = "printable")]
    pub runtime: String,
    /// UID of its Kubernetes pod; `None` outside of pods.
    #[serde(deserialize_with = "printable_or_none")]
    pub pod: Option<String>,
    /// Kubernetes namespace and name of the pod, `build/runner-1`.
    #[serde(default, deserialize_with = "printable_or_none")]
    pub pod_name: Option<String>,
    /// Namespace of the container it runs in.
    pub parent: Option<NetnsId>,
}

/// A process that lives in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process identifier in the tracer's pid namespace.
    pub pid: i32,
    /// Command name, at most 15 bytes, made printable.
    #[serde(deserialize_with = "printable")]
    pub comm: String,
}

/// A network interface as it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Name of the interface, made printable.
    #[serde(deserialize_with = "printable")]
    pub name: String,
    /// `IFLA_IFALIAS`, a description that anyone with rights in the namespace can set, made
    /// printable.
    #[serde(default, deserialize_with = "printable_or_none")]
    pub alias: Option<String>,
    /// The kind of interface it is.
    pub kind: LinkKind,
    /// MTU in bytes, as `ip link` prints it.
    pub mtu_bytes: u32,
    /// `net.ipv6.conf.DEV.mtu` in bytes, where that is another one: router advertisements set it (RFC
    /// 4861, section 4.6.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_mtu_bytes: Option<u32>,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it has a carrier (`IFF_LOWER_UP`): a veth has one while its other end is up.
    #[serde(default)]
    pub carrier: bool,
    /// Interface index of the bridge or bond it is a port of, in the same namespace.
    pub master: Option<u32>,
    /// The other end of a veth, or the lower device of a stacked one.
    pub peer: Option<Peer>,
    /// How it wraps packets, if it does.
    #[serde(default)]
    pub tunnel: Option<Tunnel>,
    /// VLAN identifier of a `vlan` device.
    #[serde(default)]
    pub vlan: Option<u16>,
    /// Routing table of a `vrf` device.
    #[serde(default)]
    pub vrf_table: Option<u32>,
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

/// How a link wraps packets in others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Namespace that the outer packets are sent in; `None` when that is not among the known ones.
    pub netns: Option<NetnsId>,
    /// Device the outer packets must leave by, in that namespace; by its routes if `None`.
    pub ifindex: Option<u32>,
    /// What tells it from others between the same two ends: VNI or key.
    #[serde(default)]
    pub id: Option<u32>,
    /// Source of the outer packets, if it is fixed.
    pub local: Option<IpAddr>,
    /// Destination of the outer packets, if it is fixed. The others are in [`Inside::fdb`].
    pub remote: Option<IpAddr>,
    /// What an inner packet grows by, from its IP header to the outer IP header, both included: an
    /// Ethernet header where it carries frames, its own header, UDP, and the outer IP header. 0 if
    /// that is not known (IPsec).
    pub overhead_bytes: u32,
    /// "Don't fragment" of the outer packets.
    pub df: OuterDf,
}

/// Whether the outer packets of a tunnel may be cut into pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OuterDf {
    /// The outer packets may be fragmented.
    #[default]
    Unset,
    /// The outer packets may not be fragmented.
    Set,
    /// As the inner packet says.
    Inherit,
}

/// What a namespace tells only to those who are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Its routes, most of those that ever matter first: as the kernel lists them.
    pub routes: Vec<Route>,
    /// Routes that were left out because there are too many.
    pub routes_left_out: usize,
    /// Its policy routing rules, by priority.
    pub rules: Vec<PolicyRule>,
    /// Path MTUs that it has learned (RFC 1191, RFC 8201).
    pub path_mtus: Vec<LearnedPathMtu>,
    /// Where its tunnels that switch frames send them (`bridge fdb`).
    pub fdb: Vec<Fdb>,
    /// The settings that matter here.
    pub sysctls: Sysctls,
}

/// A route of one of its tables.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    /// What it is for.
    pub destination: Address,
    /// Its table; 254 is `main`, 255 `local`.
    pub table: u32,
    /// What becomes of the packets.
    pub kind: RouteKind,
    /// Its priority: the lowest of the same destination wins.
    pub metric: u32,
    /// Where it leads; more than one share the load.
    pub hops: Vec<NextHop>,
    /// MTU of the route in bytes, if it has one of its own.
    pub mtu_bytes: Option<u32>,
    /// Whether that MTU is locked: path MTU discovery is off, packets go without DF.
    pub mtu_locked: bool,
    /// What it puts before each packet; `None` for most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encapsulation: Option<RouteEncapsulation>,
    /// Source address for packets that have none yet.
    pub source: Option<IpAddr>,
}

/// What a route puts before the packets it is for (`ip route … encap`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteEncapsulation {
    /// Its length, bytes (`lwtunnel_headroom`).
    pub bytes: u32,
    /// When it does so.
    pub when: EncapsulatedWhen,
}

/// When a route puts something before what is forwarded by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncapsulatedWhen {
    /// When it is sent: its length is measured before, with room for that (MPLS, BPF).
    Sent,
    /// When it comes in: it is measured as a packet of the router itself (SRv6).
    Received,
}

/// What a route does with packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    /// It sends packets on.
    #[default]
    Unicast,
    /// They are for this namespace (`RTN_LOCAL`; also broadcast, multicast and anycast).
    Local,
    /// Drops or refuses them (`RTN_BLACKHOLE`, `RTN_UNREACHABLE`, `RTN_PROHIBIT`).
    Reject,
    /// Leaves them to the next rule (`RTN_THROW`).
    Throw,
}

/// The next stop of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NextHop {
    /// The router; `None` if the destination itself is there.
    pub gateway: Option<IpAddr>,
    /// Interface index of the device.
    pub ifindex: Option<u32>,
}

/// A policy routing rule (`ip rule`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRule {
    /// Whether it is for IPv6.
    pub ipv6: bool,
    /// Rules with a lower number are asked first.
    pub priority: u32,
    /// The table to look in; `None` for a rule that does something else.
    pub table: Option<u32>,
    /// Only packets from there.
    pub source: Option<Address>,
    /// Only packets to there.
    pub destination: Option<Address>,
    /// Only packets that came in by this interface.
    #[serde(deserialize_with = "printable_or_none")]
    pub iif: Option<String>,
    /// Only packets that leave by this interface.
    #[serde(deserialize_with = "printable_or_none")]
    pub oif: Option<String>,
    /// Whether there are further conditions that are not understood here (marks, ports, …).
    pub conditional: bool,
    /// Whether it is that of VRF devices (`l3mdev`).
    pub l3mdev: bool,
}

/// A path MTU that was learned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LearnedPathMtu {
    /// On the way to there.
    pub destination: IpAddr,
    /// The MTU in bytes.
    pub mtu_bytes: u32,
}

/// Where a tunnel sends frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fdb {
    /// Interface index of the tunnel.
    pub ifindex: u32,
    /// Destination of the outer packets.
    pub remote: IpAddr,
}

/// Settings that decide on path MTU discovery; `None` where the kernel has no such setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctls {
    /// `net.ipv4.ip_no_pmtu_disc`: packets go without DF when it is not 0.
    pub ip_no_pmtu_disc: Option<u32>,
    /// `net.ipv4.tcp_mtu_probing` (RFC 4821): 1 after a black hole was met, 2 always.
    pub tcp_mtu_probing: Option<u32>,
    /// `net.ipv4.ip_forward_use_pmtu`: whether a router heeds learned path MTUs.
    pub ip_forward_use_pmtu: Option<u32>,
    /// `net.ipv4.icmp_ratelimit`, ms between messages to one destination.
    pub icmp_ratelimit: Option<u32>,
    /// `net.ipv4.icmp_ratemask`: which types that is for.
    pub icmp_ratemask: Option<u32>,
    /// `net.bridge.bridge-nf-call-iptables`: bridged IPv4 goes through netfilter.
    pub bridge_nf_call_iptables: Option<u32>,
    /// `net.bridge.bridge-nf-call-ip6tables`: bridged IPv6 goes through netfilter.
    pub bridge_nf_call_ip6tables: Option<u32>,
}

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The address without its prefix.
    pub address: IpAddr,
    /// Length of its network prefix in bits.
    pub prefix_len: u8,
}

/// Number of the main table (`RT_TABLE_MAIN`).
pub(crate) const MAIN_TABLE: u32 = 254;

impl Route {
    /// Where it leads, as `ip route` writes it: `192.0.2.0/24`, `default`.
    pub(crate) fn network(&self) -> String {
        let Address {
            address,
            prefix_len,
        } = self.destination;
        match prefix_len {
            0 => "default".to_owned(),
            bits => format!("{address}/{bits}"),
        }
    }

    /// A route of the main table that has nothing of its own.
    pub(crate) fn plain(destination: Address, gateway: Option<IpAddr>, ifindex: u32) -> Self {
        let ifindex = Some(ifindex);
        Self {
            destination,
            table: MAIN_TABLE,
            kind: RouteKind::Unicast,
            metric: 0,
            hops: vec![NextHop { gateway, ifindex }],
            mtu_bytes: None,
            mtu_locked: false,
            encapsulation: None,
            source: None,
        }
    }
}

/// Whether an address is good for its own link only.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
