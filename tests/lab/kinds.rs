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

    fn can_be_made(self) -> Result<bool> {
        let mut lab = Lab::new()?;
        lab.add(&["probe"])?;
        let probe = lab.netns("probe")?;
        probe.ip("link add lower type veth peer name other\n")?;
        let (on, settings) = match self {
            Self::Vxlan => ("", "id 1 remote 198.51.100.2 dstport 4789"),
            Self::Geneve => ("", "id 1 remote 198.51.100.2"),
            Self::Gre | Self::Gretap | Self::Ipip => ("", "local 198.51.100.1 remote 198.51.100.2"),
            Self::Wireguard => ("", ""),
            Self::Macvlan => ("link lower ", "mode bridge"),
            Self::Vlan => ("link lower ", "id 7"),
        };
        let name = self.name();
        Ok(probe
            .ip(&format!("link add {on}name upper type {name} {settings}\n"))
            .is_ok())
    }
}
