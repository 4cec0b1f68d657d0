//! The remedy that needs no ICMP: the MSS of passing connections made to fit the route.

use anyhow::Result;

use crate::command;
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

/// The same as most guides write it, with iptables.
///
/// # Errors
///
/// iptables refuses.
pub fn clamp_to_pmtu_by_iptables(netns: &Netns) -> Result<()> {
    let rule = "-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu";
    let arguments: Vec<&str> = rule.split(' ').collect();
    netns.run(|| command::run("iptables", &arguments)).map(drop)
}
