//! Address translation as container engines set it up.

use std::net::SocketAddr;

use anyhow::Result;

use crate::address::{Family, Subnet};
use crate::netns::Netns;

/// Masquerades what leaves `subnet` through `device`, as Docker does for a bridge network.
///
/// # Errors
///
/// nft refuses.
pub fn masquerade(netns: &Netns, subnet: Subnet, device: &str) -> Result<()> {
    let (v4, v6) = (subnet.prefix(Family::V4), subnet.prefix(Family::V6));
    netns.nft(&format!(
        r#"table inet lab-masquerade {{
            chain postrouting {{
                type nat hook postrouting priority srcnat
                oifname "{device}" ip saddr {v4} masquerade
                oifname "{device}" ip6 saddr {v6} masquerade
            }}
        }}"#
    ))
}

/// Sends TCP connections to `published` on to `target`, as a published port does.
///
/// # Errors
///
/// The addresses are of different families, or nft refuses.
pub fn publish(netns: &Netns, published: SocketAddr, target: SocketAddr) -> Result<()> {
    let family = if published.is_ipv4() { "ip" } else { "ip6" };
    let (address, port) = (published.ip(), published.port());
    netns.nft(&format!(
        "table {family} lab-publish {{
            chain prerouting {{
                type nat hook prerouting priority dstnat
                {family} daddr {address} tcp dport {port} dnat to {target}
            }}
        }}"
    ))
}
