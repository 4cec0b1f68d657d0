//! What a link says about its kind (`IFLA_LINKINFO`): which VLAN, which table, how it wraps packets.
//!
//! Lengths are those the kernel's own drivers reckon with when they set a tunnel's MTU (`vxlan_core.c`,
//! `geneve.c`, `ip_gre.c`, `ip6_gre.c`, `ipip.c`, `sit.c`, `ip6_tunnel.c`, `bareudp.c`). Where a tunnel
//! does not say by which family its outer packets go, IPv4 is assumed: what is then said to be too
//! long is so by any.

use std::net::IpAddr;

use netlink_packet_core::{NlaBuffer, parse_u16, parse_u16_be, parse_u32};

use crate::base::netlink::{attributes, string, unicast};
use crate::base::text::printable;
use crate::model::network::{LinkKind, OuterDf, Tunnel};

/// Of `linux/if_link.h`.
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VRF_TABLE: u16 = 1;
const IFLA_XFRM_LINK: u16 = 1;

mod vxlan {
    //! `IFLA_VXLAN_*` of `linux/if_link.h`.
    pub const ID: u16 = 1;
    pub const GROUP: u16 = 2;
    pub const LINK: u16 = 3;
    pub const LOCAL: u16 = 4;
    pub const GROUP6: u16 = 16;
    pub const LOCAL6: u16 = 17;
    pub const GPE: u16 = 27;
    pub const DF: u16 = 29;
}

mod geneve {
    //! `IFLA_GENEVE_*` of `linux/if_link.h`.
    pub const ID: u16 = 1;
    pub const REMOTE: u16 = 2;
    pub const REMOTE6: u16 = 7;
    pub const DF: u16 = 13;
    pub const INNER_PROTO_INHERIT: u16 = 14;
}

mod gre {
    //! `IFLA_GRE_*` and `GRE_*` of `linux/if_tunnel.h`.
    pub const LINK: u16 = 1;
    pub const OFLAGS: u16 = 3;
    pub const OKEY: u16 = 5;
    pub const LOCAL: u16 = 6;
    pub const REMOTE: u16 = 7;
    pub const PMTUDISC: u16 = 10;
    pub const FLAGS: u16 = 13;
    pub const ENCAP_TYPE: u16 = 14;
    pub const IGNORE_DF: u16 = 19;
    pub const ERSPAN_VER: u16 = 22;
    /// Checksum, key, sequence number: four bytes each.
    pub const OPTIONS: [u16; 3] = [0x8000, 0x2000, 0x1000];
}

mod iptun {
    //! `IFLA_IPTUN_*` of `linux/if_tunnel.h`.
    pub const LINK: u16 = 1;
    pub const LOCAL: u16 = 2;
    pub const REMOTE: u16 = 3;
    pub const FLAGS: u16 = 8;
    pub const PMTUDISC: u16 = 10;
    pub const ENCAP_TYPE: u16 = 15;
}

mod vti {
    //! `IFLA_VTI_*` of `linux/if_tunnel.h`.
    pub const LINK: u16 = 1;
    pub const LOCAL: u16 = 4;
    pub const REMOTE: u16 = 5;
}

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
        let find = |kind| attributes(value).find(|nla| nla.kind() == kind);
        let Some(name) = find(libc::IFLA_INFO_KIND) else {
            return Self::default();
        };
        let kind = LinkKind::from(printable(string(name.value())).as_str());
        // WireGuard has none, and the kernel leaves it out where a driver has nothing to say.
        let data = find(libc::IFLA_INFO_DATA);
        let data = Data(data.as_ref().map_or(&[], NlaBuffer::value));
        Self {
            vlan: (kind == LinkKind::Vlan)
                .then(|| data.u16(IFLA_VLAN_ID))
                .flatten(),
            vrf_table: (kind == LinkKind::Vrf)
                .then(|| data.u32(IFLA_VRF_TABLE))
                .flatten(),
            tunnel: tunnel(&kind, data).map(|tunnel| Tunnel {
                id: data.id(&kind),
                ..tunnel
            }),
            kind: Some(kind),
        }
    }
}

fn tunnel(kind: &LinkKind, data: Data<'_>) -> Option<Tunnel> {
    let frame_bytes = match kind {
        LinkKind::Gretap | LinkKind::Ip6gretap => ETHERNET_BYTES,
        _ => 0,
    };
    Some(match kind {
        LinkKind::Vxlan => {
            let inner = if data.is_set(vxlan::GPE) {
                0
            } else {
                ETHERNET_BYTES
            };
            let (local, local6) = (data.ip(vxlan::LOCAL), data.ip(vxlan::LOCAL6));
            let (remote, remote6) = (data.ip(vxlan::GROUP), data.ip(vxlan::GROUP6));
            Tunnel {
                ifindex: data.ifindex(vxlan::LINK),
                // A group is where frames go whose destination has not been learned yet.
                ..ends(local6.or(local), remote6.or(remote)).of(
                    outer(local6.or(remote6)) + UDP_BYTES + VNI_BYTES + inner,
                    data.df(vxlan::DF),
                )
            }
        }
        LinkKind::Geneve => {
            let inner = if data.is_set(geneve::INNER_PROTO_INHERIT) {
                0
            } else {
                ETHERNET_BYTES
            };
            let remote6 = data.ip(geneve::REMOTE6);
            let bytes = outer(remote6) + UDP_BYTES + VNI_BYTES + inner;
            ends(None, remote6.or(data.ip(geneve::REMOTE))).of(bytes, data.df(geneve::DF))
        }
        LinkKind::Gre | LinkKind::Gretap => data.gre(
            IPV4_BYTES + frame_bytes + data.gre_bytes(),
            data.ipv4_df(gre::PMTUDISC, Some(gre::IGNORE_DF)),
        ),
        LinkKind::Ip6gre | LinkKind::Ip6gretap => data.gre(
            IPV6_BYTES + frame_bytes + data.gre_bytes() + data.encap_limit(gre::FLAGS),
            OuterDf::Set,
        ),
        LinkKind::Erspan => data.gre(
            IPV4_BYTES + ETHERNET_BYTES + data.erspan_bytes(),
            data.ipv4_df(gre::PMTUDISC, Some(gre::IGNORE_DF)),
        ),
        LinkKind::Ip6erspan => data.gre(
            IPV6_BYTES + ETHERNET_BYTES + data.erspan_bytes() + data.encap_limit(gre::FLAGS),
            OuterDf::Set,
        ),
        LinkKind::Ipip => data.iptun(IPV4_BYTES, data.ipv4_df(iptun::PMTUDISC, None)),
        // `ipip6_tunnel_xmit` does not look at inner packets, which have no such bit.
        LinkKind::Sit => data.iptun(
            IPV4_BYTES,
            match data.u8(iptun::PMTUDISC) {
                Some(0) | None => OuterDf::Unset,
                Some(_) => OuterDf::Set,
            },
        ),
        LinkKind::Ip6tnl => data.iptun(IPV6_BYTES + data.encap_limit(iptun::FLAGS), OuterDf::Set),
        // How much IPsec adds depends on the ciphers of each connection: 0 is for "not known".
        LinkKind::Vti | LinkKind::Vti6 => Tunnel {
            ifindex: data.ifindex(vti::LINK),
            ..ends(data.ip(vti::LOCAL), data.ip(vti::REMOTE)).of(0, OuterDf::Unset)
        },
        LinkKind::Xfrm => Tunnel {
            ifindex: data.ifindex(IFLA_XFRM_LINK),
            ..Tunnel::default()
        },
        // Where the other ends are is told by WireGuard's own protocol only. Its usual MTU of 1420
        // leaves room for IPv6, but whoever sets 1440 for IPv4 is right too.
        LinkKind::Wireguard => {
            ends(None, None).of(IPV4_BYTES + UDP_BYTES + WIREGUARD_BYTES, OuterDf::Unset)
        }
        LinkKind::Bareudp => ends(None, None).of(IPV4_BYTES + UDP_BYTES, OuterDf::Unset),
        _ => return None,
    })
}

/// The fixed ends of a tunnel.
struct Ends {
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
}

fn ends(local: Option<IpAddr>, remote: Option<IpAddr>) -> Ends {
    Ends { local, remote }
}

impl Ends {
    fn of(self, overhead_bytes: u32, df: OuterDf) -> Tunnel {
        Tunnel {
            netns: None,
            ifindex: None,
            id: None,
            local: self.local,
            remote: self.remote,
            overhead_bytes,
            df,
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
        read(attributes(self.0).find(|nla| nla.kind() == kind)?.value())
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

    fn ifindex(self, kind: u16) -> Option<u32> {
        self.u32(kind).filter(|&ifindex| ifindex != 0)
    }

    /// What tells a tunnel from others between the same ends: VNI, or the key of GRE that it sends.
    fn id(self, kind: &LinkKind) -> Option<u32> {
        match kind {
            LinkKind::Vxlan => self.u32(vxlan::ID),
            LinkKind::Geneve => self.u32(geneve::ID),
            LinkKind::Gre | LinkKind::Gretap | LinkKind::Ip6gre | LinkKind::Ip6gretap => {
                self.u32(gre::OKEY).map(u32::from_be)
            }
            _ => None,
        }
    }

    fn ip(self, kind: u16) -> Option<IpAddr> {
        self.find(kind, unicast)
    }

    /// `enum ifla_vxlan_df`, which is that of Geneve too.
    fn df(self, kind: u16) -> OuterDf {
        match self.u8(kind) {
            Some(1) => OuterDf::Set,
            Some(2) => OuterDf::Inherit,
            _ => OuterDf::Unset,
        }
    }

    /// `ip_tunnel_xmit`: always with `pmtudisc`, else as the inner packet, unless that is ignored.
    fn ipv4_df(self, pmtudisc: u16, ignore_df: Option<u16>) -> OuterDf {
        if self.u8(pmtudisc).unwrap_or(0) != 0 {
            OuterDf::Set
        } else if ignore_df.is_some_and(|kind| self.is_set(kind)) {
            OuterDf::Unset
        } else {
            OuterDf::Inherit
        }
    }

    /// FOU puts UDP in between, GUE UDP and a header of its own (`enum tunnel_encap_types`).
    fn encap_bytes(self, kind: u16) -> u32 {
        match self.u16(kind) {
            Some(1) => UDP_BYTES,
            Some(2) => UDP_BYTES + 4,
            _ => 0,
        }
    }

    fn encap_limit(self, flags: u16) -> u32 {
        let flags = self.u32(flags).unwrap_or(0);
        if flags & IGNORE_ENCAP_LIMIT == 0 {
            ENCAP_LIMIT_BYTES
        } else {
            0
        }
    }

    fn gre_bytes(self) -> u32 {
        let flags = self.find(gre::OFLAGS, |value| parse_u16_be(value).ok());
        let flags = flags.unwrap_or(0);
        let options = gre::OPTIONS.iter().filter(|&&option| flags & option != 0);
        options.fold(GRE_BYTES, |bytes, _| bytes + 4)
    }

    /// GRE with a sequence number, and ERSPAN's own header (`erspan_hdr_len`); version 0 has neither.
    fn erspan_bytes(self) -> u32 {
        match self.u8(gre::ERSPAN_VER) {
            Some(0) => GRE_BYTES,
            Some(2) => GRE_BYTES + 4 + 12,
            _ => GRE_BYTES + 4 + 8,
        }
    }

    fn gre(self, overhead_bytes: u32, df: OuterDf) -> Tunnel {
        let overhead_bytes = overhead_bytes + self.encap_bytes(gre::ENCAP_TYPE);
        Tunnel {
            ifindex: self.ifindex(gre::LINK),
            ..ends(self.ip(gre::LOCAL), self.ip(gre::REMOTE)).of(overhead_bytes, df)
        }
    }

    fn iptun(self, overhead_bytes: u32, df: OuterDf) -> Tunnel {
        let overhead_bytes = overhead_bytes + self.encap_bytes(iptun::ENCAP_TYPE);
        Tunnel {
            ifindex: self.ifindex(iptun::LINK),
            ..ends(self.ip(iptun::LOCAL), self.ip(iptun::REMOTE)).of(overhead_bytes, df)
        }
    }
}
