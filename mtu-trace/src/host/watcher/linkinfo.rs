//! What a link says about its kind (`IFLA_LINKINFO`): which VLAN, which table, how it wraps packets.
//!
//! Lengths are those the kernel's own drivers reckon with when they set a tunnel's MTU (`vxlan_core.c`,
//! `geneve.c`, `ip_gre.c`, `ip6_gre.c`, `ipip.c`, `sit.c`, `ip6_tunnel.c`, `bareudp.c`). Where a tunnel
//! does not say by which family its outer packets go, IPv4 is assumed: what is then said to be too
//! long is so by any.

use std::net::IpAddr;

use netlink_packet_core::{parse_u16, parse_u16_be, parse_u32};

use crate::base::netlink::{attribute, string, unicast};
use crate::base::text::printable;
use crate::model::network::{LinkKind, OuterDf, Tunnel};

/// Of `linux/if_link.h`.
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VRF_TABLE: u16 = 1;
const IFLA_XFRM_LINK: u16 = 1;

/// `IFLA_VXLAN_*` of `linux/if_link.h`.
const VXLAN_ID: u16 = 1;
const VXLAN_GROUP: u16 = 2;
const VXLAN_LINK: u16 = 3;
const VXLAN_LOCAL: u16 = 4;
const VXLAN_GROUP6: u16 = 16;
const VXLAN_LOCAL6: u16 = 17;
const VXLAN_GPE: u16 = 27;
const VXLAN_DF: u16 = 29;
/// `IFLA_GENEVE_*` of `linux/if_link.h`.
const GENEVE_ID: u16 = 1;
const GENEVE_REMOTE: u16 = 2;
const GENEVE_REMOTE6: u16 = 7;
const GENEVE_DF: u16 = 13;
const GENEVE_INNER_PROTO_INHERIT: u16 = 14;
/// `IFLA_GRE_*` and `GRE_*` of `linux/if_tunnel.h`.
const GRE_LINK: u16 = 1;
const GRE_OFLAGS: u16 = 3;
const GRE_OKEY: u16 = 5;
const GRE_LOCAL: u16 = 6;
const GRE_REMOTE: u16 = 7;
const GRE_PMTUDISC: u16 = 10;
const GRE_FLAGS: u16 = 13;
const GRE_ENCAP_TYPE: u16 = 14;
const GRE_IGNORE_DF: u16 = 19;
const GRE_ERSPAN_VER: u16 = 22;
/// Checksum, key, sequence number: four bytes each.
const GRE_OPTIONS: u16 = 0x8000 | 0x2000 | 0x1000;
/// `IFLA_IPTUN_*` of `linux/if_tunnel.h`.
const IPTUN_LINK: u16 = 1;
const IPTUN_LOCAL: u16 = 2;
const IPTUN_REMOTE: u16 = 3;
const IPTUN_FLAGS: u16 = 8;
const IPTUN_PMTUDISC: u16 = 10;
const IPTUN_ENCAP_TYPE: u16 = 15;
/// `IFLA_VTI_*` of `linux/if_tunnel.h`.
const VTI_LINK: u16 = 1;
const VTI_LOCAL: u16 = 4;
const VTI_REMOTE: u16 = 5;
/// `IP6_TNL_F_IGN_ENCAP_LIMIT` of `linux/ip6_tunnel.h`: without it every packet carries
/// a destination option that says how often it may be wrapped again (RFC 2473).
const IGNORE_ENCAP_LIMIT: u32 = 1;
/// That option with its padding, bytes (RFC 2473, section 4.1.1).
const ENCAP_LIMIT_BYTES: u32 = 8;

/// An Ethernet header without a tag, bytes (IEEE 802.3).
const ETHERNET_BYTES: u32 = 14;
/// An IPv4 header without options, bytes (RFC 791).
const IPV4_BYTES: u32 = 20;
/// An IPv6 header without extensions, bytes (RFC 8200).
const IPV6_BYTES: u32 = 40;
/// A UDP header, bytes (RFC 768).
const UDP_BYTES: u32 = 8;
/// VXLAN's header, and Geneve's without options, which each packet may have others of.
const VNI_BYTES: u32 = 8;
/// A GRE header without options, bytes (RFC 2784).
const GRE_BYTES: u32 = 4;
/// A header of 16 bytes and a tag of 16. The padding to a multiple of 16 stays within the MTU.
const WIREGUARD_BYTES: u32 = 32;

/// What a link says about its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkInfo {
    /// The kind, `None` for a device that no driver of virtual ones has made.
    pub kind: Option<LinkKind>,
    /// Identifier of a VLAN.
    pub vlan: Option<u16>,
    /// Table of a VRF.
    pub vrf_table: Option<u32>,
    /// How it wraps packets; its namespace is not told here.
    pub tunnel: Option<Tunnel>,
}

impl LinkInfo {
    /// Reads what is in an `IFLA_LINKINFO`.
    pub fn read(value: &[u8]) -> Self {
        let Some(name) = attribute(value, libc::IFLA_INFO_KIND) else {
            return Self::default();
        };
        let kind = LinkKind::from(printable(string(name)).as_str());
        // WireGuard has none, and the kernel leaves it out where a driver has nothing to say.
        let data = Data(attribute(value, libc::IFLA_INFO_DATA).unwrap_or_default());
        Self {
            vlan: data.u16(IFLA_VLAN_ID).filter(|_| kind == LinkKind::Vlan),
            vrf_table: data.u32(IFLA_VRF_TABLE).filter(|_| kind == LinkKind::Vrf),
            tunnel: data.tunnel(&kind),
            kind: Some(kind),
        }
    }
}

/// Bytes of the outer IP header, where an end that has an IPv6 address is `ipv6`.
fn outer(ipv6: Option<IpAddr>) -> u32 {
    ipv6.map_or(IPV4_BYTES, |_| IPV6_BYTES)
}

/// What is in an `IFLA_INFO_DATA`.
#[derive(Clone, Copy)]
struct Data<'a>(&'a [u8]);

impl Data<'_> {
    fn find<T>(self, kind: u16, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        read(attribute(self.0, kind)?)
    }

    /// Whether a flag is there, or a boolean is not 0.
    fn is_set(self, kind: u16) -> bool {
        self.find(kind, |value| Some(value != [0])).unwrap_or(false)
    }

    fn u8(self, kind: u16) -> Option<u8> {
        self.find(kind, |value| value.first().copied())
    }

    fn u16(self, kind: u16) -> Option<u16> {
        self.find(kind, |value| parse_u16(value).ok())
    }

    fn u32(self, kind: u16) -> Option<u32> {
        self.find(kind, |value| parse_u32(value).ok())
    }

    fn ip(self, kind: u16) -> Option<IpAddr> {
        self.find(kind, unicast)
    }

    /// How a link wraps packets; `None` for one that does not.
    fn tunnel(self, kind: &LinkKind) -> Option<Tunnel> {
        Some(Tunnel {
            id: self.id(kind),
            overhead_bytes: self.header_bytes(kind)? + self.encap_bytes(kind),
            df: self.df(kind),
            ..self.ends(kind)
        })
    }

    /// What tells a tunnel from others between the same ends: VNI, or the key of GRE that it sends.
    fn id(self, kind: &LinkKind) -> Option<u32> {
        match kind {
            LinkKind::Vxlan => self.u32(VXLAN_ID),
            LinkKind::Geneve => self.u32(GENEVE_ID),
            LinkKind::Gre | LinkKind::Gretap | LinkKind::Ip6gre | LinkKind::Ip6gretap => {
                self.u32(GRE_OKEY).map(u32::from_be)
            }
            _ => None,
        }
    }

    /// The fixed ends of a tunnel, and its device.
    fn ends(self, kind: &LinkKind) -> Tunnel {
        let ifindex = |kind| self.u32(kind).filter(|&ifindex| ifindex != 0);
        let ends = |link, local, remote| Tunnel {
            ifindex: ifindex(link),
            local: self.ip(local),
            remote: self.ip(remote),
            ..Tunnel::default()
        };
        match kind {
            // A group is where frames go whose destination has not been learned yet.
            LinkKind::Vxlan => {
                let ipv4 = ends(VXLAN_LINK, VXLAN_LOCAL, VXLAN_GROUP);
                Tunnel {
                    local: self.ip(VXLAN_LOCAL6).or(ipv4.local),
                    remote: self.ip(VXLAN_GROUP6).or(ipv4.remote),
                    ..ipv4
                }
            }
            LinkKind::Geneve => Tunnel {
                remote: self.ip(GENEVE_REMOTE6).or(self.ip(GENEVE_REMOTE)),
                ..Tunnel::default()
            },
            LinkKind::Gre | LinkKind::Gretap | LinkKind::Erspan => {
                ends(GRE_LINK, GRE_LOCAL, GRE_REMOTE)
            }
            LinkKind::Ip6gre | LinkKind::Ip6gretap | LinkKind::Ip6erspan => {
                ends(GRE_LINK, GRE_LOCAL, GRE_REMOTE)
            }
            LinkKind::Ipip | LinkKind::Sit | LinkKind::Ip6tnl => {
                ends(IPTUN_LINK, IPTUN_LOCAL, IPTUN_REMOTE)
            }
            LinkKind::Vti | LinkKind::Vti6 => ends(VTI_LINK, VTI_LOCAL, VTI_REMOTE),
            LinkKind::Xfrm => Tunnel {
                ifindex: ifindex(IFLA_XFRM_LINK),
                ..Tunnel::default()
            },
            // WireGuard's other ends are told by its own protocol only.
            _ => Tunnel::default(),
        }
    }

    /// Bytes of all headers that a tunnel adds but those of FOU and GUE; `None` for what is no tunnel.
    fn header_bytes(self, kind: &LinkKind) -> Option<u32> {
        Some(match kind {
            LinkKind::Vxlan => {
                let ipv6 = self.ip(VXLAN_LOCAL6).or(self.ip(VXLAN_GROUP6));
                outer(ipv6) + self.vni_bytes(VXLAN_GPE)
            }
            LinkKind::Geneve => {
                outer(self.ip(GENEVE_REMOTE6)) + self.vni_bytes(GENEVE_INNER_PROTO_INHERIT)
            }
            LinkKind::Gre => IPV4_BYTES + self.gre_bytes(),
            LinkKind::Gretap => IPV4_BYTES + self.gre_bytes() + ETHERNET_BYTES,
            LinkKind::Erspan => IPV4_BYTES + self.erspan_bytes(),
            LinkKind::Ip6gre => IPV6_BYTES + self.encap_limit(GRE_FLAGS) + self.gre_bytes(),
            LinkKind::Ip6gretap => {
                IPV6_BYTES + self.encap_limit(GRE_FLAGS) + self.gre_bytes() + ETHERNET_BYTES
            }
            LinkKind::Ip6erspan => IPV6_BYTES + self.encap_limit(GRE_FLAGS) + self.erspan_bytes(),
            LinkKind::Ipip | LinkKind::Sit => IPV4_BYTES,
            LinkKind::Ip6tnl => IPV6_BYTES + self.encap_limit(IPTUN_FLAGS),
            // How much IPsec adds depends on the ciphers of each connection: 0 is for "not known".
            LinkKind::Vti | LinkKind::Vti6 | LinkKind::Xfrm => 0,
            // Its usual MTU of 1420 leaves room for IPv6, but whoever sets 1440 for IPv4 is right too.
            LinkKind::Wireguard => IPV4_BYTES + UDP_BYTES + WIREGUARD_BYTES,
            LinkKind::Bareudp => IPV4_BYTES + UDP_BYTES,
            _ => return None,
        })
    }

    /// FOU puts UDP in between, GUE UDP and a header of its own (`enum tunnel_encap_types`).
    fn encap_bytes(self, kind: &LinkKind) -> u32 {
        let encap_type = match kind {
            LinkKind::Gre | LinkKind::Gretap | LinkKind::Erspan => GRE_ENCAP_TYPE,
            LinkKind::Ip6gre | LinkKind::Ip6gretap | LinkKind::Ip6erspan => GRE_ENCAP_TYPE,
            LinkKind::Ipip | LinkKind::Sit | LinkKind::Ip6tnl => IPTUN_ENCAP_TYPE,
            _ => return 0,
        };
        match self.u16(encap_type) {
            Some(1) => UDP_BYTES,
            Some(2) => UDP_BYTES + 4,
            _ => 0,
        }
    }

    fn df(self, kind: &LinkKind) -> OuterDf {
        // `enum ifla_vxlan_df`, which is that of Geneve too.
        let told = |kind| match self.u8(kind) {
            Some(1) => OuterDf::Set,
            Some(2) => OuterDf::Inherit,
            _ => OuterDf::Unset,
        };
        match kind {
            LinkKind::Vxlan => told(VXLAN_DF),
            LinkKind::Geneve => told(GENEVE_DF),
            // `ip_tunnel_xmit`: always with `pmtudisc`, else as the inner packet, unless that is
            // ignored.
            LinkKind::Gre | LinkKind::Gretap | LinkKind::Erspan => {
                match (self.is_set(GRE_PMTUDISC), self.is_set(GRE_IGNORE_DF)) {
                    (true, _) => OuterDf::Set,
                    (false, true) => OuterDf::Unset,
                    (false, false) => OuterDf::Inherit,
                }
            }
            LinkKind::Ipip | LinkKind::Sit if self.is_set(IPTUN_PMTUDISC) => OuterDf::Set,
            // `ipip6_tunnel_xmit` of SIT does not look at inner packets, which have no such bit.
            LinkKind::Ipip => OuterDf::Inherit,
            LinkKind::Ip6gre | LinkKind::Ip6gretap => OuterDf::Set,
            LinkKind::Ip6erspan | LinkKind::Ip6tnl => OuterDf::Set,
            _ => OuterDf::Unset,
        }
    }

    /// UDP, the tunnel's own header, and that of the frame inside unless a flag says that there is
    /// none.
    fn vni_bytes(self, frameless: u16) -> u32 {
        let frame_bytes = if self.is_set(frameless) {
            0
        } else {
            ETHERNET_BYTES
        };
        UDP_BYTES + VNI_BYTES + frame_bytes
    }

    fn encap_limit(self, flags: u16) -> u32 {
        match self.u32(flags).unwrap_or(0) & IGNORE_ENCAP_LIMIT {
            0 => ENCAP_LIMIT_BYTES,
            _ => 0,
        }
    }

    fn gre_bytes(self) -> u32 {
        let flags = self.find(GRE_OFLAGS, |value| parse_u16_be(value).ok());
        GRE_BYTES + 4 * (flags.unwrap_or(0) & GRE_OPTIONS).count_ones()
    }

    /// A frame in GRE with a sequence number and ERSPAN's own header (`erspan_hdr_len`); version 0 has
    /// neither of these.
    fn erspan_bytes(self) -> u32 {
        let own_bytes = match self.u8(GRE_ERSPAN_VER) {
            Some(0) => 0,
            Some(2) => 4 + 12,
            _ => 4 + 8,
        };
        ETHERNET_BYTES + GRE_BYTES + own_bytes
    }
}
