//! The remedy that needs no ICMP: the MSS of passing connections made to fit the route.

use anyhow::Result;

use crate::netns::Netns;

/// Lowers the MSS of every handshake that passes through to what its route can carry.
///
/// # Errors
///
/// nft refuses.
pub fn clamp_to_pmtu(netns: &Netns) -> Result<()> {
    netns.nft(
        "table inet lab-clamp {
            chain forward {
                type filter hook forward priority mangle
                tcp flags syn tcp option maxseg size set rt mtu
            }
        }",
    )
}
