//! What kinds of network devices there are, and what each is to a packet.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::text::stored::printable;

/// What a device does with packets, as far as all devices of a kind do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRole {
    /// Hands them to the other end of a virtual cable.
    Pair,
    /// Passes them between its ports without looking at addresses of layer 3.
    Switch,
    /// Carries them inside other packets.
    Tunnel,
    /// Keeps them in their namespace.
    Loopback,
    /// Carries them out of this host.
    Physical,
    /// Does none of this. One that has a lower device is stacked on it.
    Plain,
}

macro_rules! link_kinds {
    ($($kind:ident, $name:literal, $role:ident;)*) => {
        /// The kind of a network device: `IFLA_INFO_KIND`, or what stands for it where the kernel
        /// gives none. A capture and a report hold its name.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is what the kernel calls by the name in its row")]
        pub enum LinkKind {
            $($kind,)*
            /// A kind of which nothing is known but its name, made printable.
            Other(CompactString),
            /// The kind was not said.
            #[default]
            Unknown,
        }

        impl LinkKind {
            /// The name that the kernel and `ip link` give it; empty for an unknown one.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Other(name) => name,
                    Self::Unknown => "",
                }
            }

            /// What such a device does with packets.
            pub fn role(&self) -> LinkRole {
                match self {
                    $(Self::$kind => LinkRole::$role,)*
                    Self::Other(_) | Self::Unknown => LinkRole::Plain,
                }
            }
        }

        impl From<&str> for LinkKind {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$kind,)*
                    "" => Self::Unknown,
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

// The one table of kinds: a new one is a row.
link_kinds! {
    Veth, "veth", Pair;
    Netkit, "netkit", Pair;
    Bridge, "bridge", Switch;
    Bond, "bond", Switch;
    Team, "team", Switch;
    OpenVswitch, "openvswitch", Switch;
    Vxlan, "vxlan", Tunnel;
    Geneve, "geneve", Tunnel;
    Bareudp, "bareudp", Tunnel;
    Gre, "gre", Tunnel;
    Gretap, "gretap", Tunnel;
    Erspan, "erspan", Tunnel;
    Ip6gre, "ip6gre", Tunnel;
    Ip6gretap, "ip6gretap", Tunnel;
    Ip6erspan, "ip6erspan", Tunnel;
    Ipip, "ipip", Tunnel;
    Sit, "sit", Tunnel;
    Ip6tnl, "ip6tnl", Tunnel;
    Vti, "vti", Tunnel;
    Vti6, "vti6", Tunnel;
    Xfrm, "xfrm", Tunnel;
    Wireguard, "wireguard", Tunnel;
    Tun, "tun", Tunnel;
    Vlan, "vlan", Plain;
    Macvlan, "macvlan", Plain;
    Ipvlan, "ipvlan", Plain;
    Vrf, "vrf", Plain;
    Loopback, "loopback", Loopback;
    Physical, "physical", Physical;
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for LinkKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for LinkKind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name: CompactString = printable(from)?;
        Ok(Self::from(name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_stored_by_its_name() {
        for (name, kind) in [
            ("veth", LinkKind::Veth),
            ("dummy", LinkKind::Other("dummy".into())),
            ("", LinkKind::Unknown),
        ] {
            let json = serde_json::to_string(&kind).expect("a kind is JSON");
            assert_eq!(json, format!("{name:?}"));
            assert_eq!(
                serde_json::from_str::<LinkKind>(&json).expect("a kind"),
                kind
            );
            assert_eq!(kind.to_string(), name);
        }
    }

    #[test]
    fn a_foreign_name_is_made_printable() {
        let kind: LinkKind = serde_json::from_str(r#""a\u001bb""#).expect("a kind");
        assert_eq!(kind, LinkKind::Other(r"a\x1bb".into()));
    }
}
