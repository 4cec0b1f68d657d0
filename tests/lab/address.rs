//! The documentation ranges, cut into the subnets of a lab.
//!
//! Every lab uses the same ones, as every Docker host has its 172.17.0.0/16: a tracer that confused
//! equal addresses in different namespaces would show it here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 subnet of 14 hosts and the IPv6 subnet beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    v4: [u8; 3],
    /// Where its 16 addresses begin.
    first: u8,
    v6: u16,
}

/// Behind the innermost bridge: where the container is (TEST-NET-1).
pub const INNER: Subnet = Subnet {
    v4: [192, 0, 2],
    first: 0,
    v6: 1,
};
/// Between two container hosts, one inside the other (beside [`INNER`]).
pub const MIDDLE: Subnet = Subnet {
    v4: [192, 0, 2],
    first: 16,
    v6: 5,
};
/// Between a container host and the machine it runs on (TEST-NET-2).
pub const OUTER: Subnet = Subnet {
    v4: [198, 51, 100],
    first: 0,
    v6: 2,
};
/// Where the server is (TEST-NET-3).
pub const EXTERNAL: Subnet = Subnet {
    v4: [203, 0, 113],
    first: 0,
    v6: 3,
};

/// What an overlay network runs on: between two container hosts (beside [`OUTER`]).
pub const UNDERLAY: Subnet = Subnet {
    v4: [198, 51, 100],
    first: 16,
    v6: 4,
};

/// Which IP version the traffic uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

impl Subnet {
    /// The address of host `number` (1 to 14).
    #[must_use]
    pub const fn host(self, number: u8, family: Family) -> IpAddr {
        let [a, b, c] = self.v4;
        match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(a, b, c, self.first + number)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(
                0x2001,
                0xdb8,
                self.v6,
                0,
                0,
                0,
                0,
                number as u16,
            )),
        }
    }

    /// The subnet as routes and firewall rules write it.
    #[must_use]
    pub fn prefix(self, family: Family) -> String {
        format!("{}/{}", self.host(0, family), length(family))
    }

    /// The `ip` commands that give host `number`'s addresses to `device`.
    #[must_use]
    pub fn assign(self, number: u8, device: &str) -> String {
        // nodad: duplicate address detection would keep the address unusable for a second.
        format!(
            "addr add {}/{} dev {device}\naddr add {}/{} dev {device} nodad\n",
            self.host(number, Family::V4),
            length(Family::V4),
            self.host(number, Family::V6),
            length(Family::V6),
        )
    }

    /// The `ip` commands that route this subnet through host `number` of `next`.
    #[must_use]
    pub fn route_through(self, next: Self, number: u8) -> String {
        [Family::V4, Family::V6]
            .map(|family| {
                format!(
                    "route add {} via {}\n",
                    self.prefix(family),
                    next.host(number, family)
                )
            })
            .concat()
    }

    /// The `ip` commands that make host `number` of this subnet the default gateway.
    #[must_use]
    pub fn default_gateway(self, number: u8) -> String {
        format!(
            "route add default via {}\nroute add ::/0 via {}\n",
            self.host(number, Family::V4),
            self.host(number, Family::V6)
        )
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix(Family::V4))
    }
}

const fn length(family: Family) -> u8 {
    match family {
        Family::V4 => 28,
        Family::V6 => 64,
    }
}
