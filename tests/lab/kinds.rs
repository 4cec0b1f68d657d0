//! Kinds of interfaces that not every kernel has.

use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::lifetime::Lab;

/// A kind of interface, as `ip link add … type KIND` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ethernet in UDP, RFC 7348.
    Vxlan,
    /// Ethernet in UDP, RFC 8926.
    Geneve,
    /// IP in GRE, RFC 2784.
    Gre,
    /// Ethernet in GRE.
    Gretap,
    /// IPv4 in IPv4, RFC 2003.
    Ipip,
    /// IP in encrypted UDP.
    Wireguard,
    /// A further Ethernet address on an interface.
    Macvlan,
    /// A tagged part of an interface, 802.1Q.
    Vlan,
    /// IPv4 in IPv4 in UDP, Foo over UDP.
    Fou,
    /// IP in IPv6, RFC 2473.
    Ip6tnl,
    /// IP in GRE in IPv6.
    Ip6gre,
    /// IPv6 in IPv4, RFC 4213.
    Sit,
    /// IPsec by policies, RFC 4303.
    Esp,
    /// IPsec by an interface of its own.
    Xfrm,
    /// IPsec by an older kind of interface.
    Vti,
    /// Encrypted Ethernet, 802.1AE.
    Macsec,
    /// Labels before packets, RFC 3032.
    Mpls,
    /// Segment routing over IPv6, RFC 8754.
    Seg6,
}

impl Kind {
    /// As `ip` names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::Gretap => "gretap",
            Self::Ipip => "ipip",
            Self::Wireguard => "wireguard",
            Self::Macvlan => "macvlan",
            Self::Vlan => "vlan",
            Self::Fou => "fou",
            Self::Ip6tnl => "ip6tnl",
            Self::Ip6gre => "ip6gre",
            Self::Sit => "sit",
            Self::Esp => "esp",
            Self::Xfrm => "xfrm",
            Self::Vti => "vti",
            Self::Macsec => "macsec",
            Self::Mpls => "mpls",
            Self::Seg6 => "seg6",
        }
    }

    /// Whether the kernel has it: found out once, by making one in a namespace of its own.
    ///
    /// # Errors
    ///
    /// Not root, or the namespace cannot be made.
    pub fn is_supported(self) -> Result<bool> {
        static KNOWN: Mutex<Vec<(Kind, bool)>> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, is_supported)) = known.iter().find(|(kind, _)| *kind == self) {
            return Ok(*is_supported);
        }
        let is_supported = self.can_be_made()?;
        known.push((self, is_supported));
        Ok(is_supported)
    }

    /// The `ip` commands that show whether the kernel has what is no kind of interface.
    const fn trial(self) -> &'static str {
        match self {
            Self::Fou => "fou add port 5555 ipproto 4\n",
            Self::Esp => {
                "xfrm state add src 198.51.100.1 dst 198.51.100.2 proto esp spi 0x1000 mode tunnel \
                 aead rfc4106(gcm(aes)) 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f 128\n"
            }
            Self::Mpls => {
                "addr add 198.51.100.1/28 dev lower\n\
                 route add 203.0.113.0/28 encap mpls 100 via inet 198.51.100.2 dev lower\n"
            }
            _ => "route add 2001:db8:3::/64 encap seg6 mode encap segs 2001:db8::2 dev lower\n",
        }
    }

    fn can_be_made(self) -> Result<bool> {
        let mut lab = Lab::new()?;
        lab.add(&["probe"])?;
        let probe = lab.netns("probe")?;
        probe.ip("link add lower type veth peer name other\nlink set lower up\n")?;
        let ends = "local 198.51.100.1 remote 198.51.100.2";
        let ends_v6 = "local 2001:db8::1 remote 2001:db8::2";
        let (on, settings) = match self {
            Self::Vxlan => ("", "id 1 remote 198.51.100.2 dstport 4789"),
            Self::Geneve => ("", "id 1 remote 198.51.100.2"),
            Self::Gre | Self::Gretap | Self::Ipip | Self::Sit => ("", ends),
            Self::Vti => ("", "local 198.51.100.1 remote 198.51.100.2 key 7"),
            Self::Ip6tnl | Self::Ip6gre => ("", ends_v6),
            Self::Wireguard => ("", ""),
            Self::Xfrm => ("", "dev lower if_id 7"),
            Self::Macsec => ("link lower ", ""),
            Self::Fou | Self::Esp | Self::Mpls | Self::Seg6 => {
                return Ok(probe.ip(self.trial()).is_ok());
            }
            Self::Macvlan => ("link lower ", "mode bridge"),
            Self::Vlan => ("link lower ", "id 7"),
        };
        let name = self.name();
        Ok(probe
            .ip(&format!("link add {on}name upper type {name} {settings}\n"))
            .is_ok())
    }
}
