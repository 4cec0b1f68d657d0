//! Firewalls that lose what they should not: the ICMP of path MTU discovery, what goes to a port, what
//! is long, or packets at random.

use std::fmt;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Netns;

/// Where netfilter sees a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// For a socket of this namespace.
    Input,
    /// Passing through.
    Forward,
    /// Made in this namespace.
    Output,
}

impl Hook {
    fn chain(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Hook {
    /// As netfilter's tables write it: `INPUT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain().to_uppercase())
    }
}

/// The table of [`drop_frag_needed`].
pub const FRAG_NEEDED: &str = "lab-frag-needed";
/// The table of [`drop_packet_too_big`].
pub const PACKET_TOO_BIG: &str = "lab-packet-too-big";
/// The table of [`drop_port`].
pub const PORT: &str = "lab-port";
/// The table of [`drop_longer`].
pub const LENGTH: &str = "lab-length";
/// The table of [`lose`].
pub const LOSS: &str = "lab-loss";

/// Drops ICMP "fragmentation needed" (type 3, code 4) at `hook`.
///
/// # Errors
///
/// nft refuses.
pub fn drop_frag_needed(netns: &Netns, hook: Hook) -> Result<()> {
    let rule = "icmp type destination-unreachable icmp code frag-needed counter drop";
    add_filter(netns, FRAG_NEEDED, hook, rule)
}

/// Drops ICMPv6 "packet too big" (type 2) at `hook`.
///
/// # Errors
///
/// nft refuses.
pub fn drop_packet_too_big(netns: &Netns, hook: Hook) -> Result<()> {
    add_filter(
        netns,
        PACKET_TOO_BIG,
        hook,
        "icmpv6 type packet-too-big counter drop",
    )
}

/// Rejects ICMPv6 "packet too big" (type 2) at `hook`: the kernel makes no message about it, and it is
/// dropped.
///
/// # Errors
///
/// nft refuses.
pub fn reject_packet_too_big(netns: &Netns, hook: Hook) -> Result<()> {
    let rule = "icmpv6 type packet-too-big counter reject";
    add_filter(netns, PACKET_TOO_BIG, hook, rule)
}

/// Drops what goes to TCP port `port` at `hook`, whatever its length.
///
/// # Errors
///
/// nft refuses.
pub fn drop_port(netns: &Netns, hook: Hook, port: u16) -> Result<()> {
    add_filter(netns, PORT, hook, &format!("tcp dport {port} counter drop"))
}

/// Drops every packet of more than `bytes` at `hook`, IP header included, and tells nobody.
///
/// A packet of many segments counts as a whole: offloads make more of it too long.
///
/// # Errors
///
/// nft refuses.
pub fn drop_longer(netns: &Netns, hook: Hook, bytes: u32) -> Result<()> {
    add_filter(
        netns,
        LENGTH,
        hook,
        &format!("meta length > {bytes} counter drop"),
    )
}

/// Loses `percent` of the TCP packets at `hook`, large and small alike.
///
/// # Errors
///
/// nft refuses.
pub fn lose(netns: &Netns, hook: Hook, percent: u32) -> Result<()> {
    let rule = format!("meta l4proto tcp numgen random mod 100 < {percent} counter drop");
    add_filter(netns, LOSS, hook, &rule)
}

/// Loses `percent` of the TCP packets as they arrive on `device`, before the namespace's IP sees them.
///
/// # Errors
///
/// nft refuses.
pub fn lose_on_arrival(netns: &Netns, device: &str, percent: u32) -> Result<()> {
    netns.nft(&format!(
        r#"table netdev {LOSS} {{
            chain arrival {{
                type filter hook ingress device "{device}" priority 0
                meta l4proto tcp numgen random mod 100 < {percent} counter drop
            }}
        }}"#
    ))
}

fn add_filter(netns: &Netns, table: &str, hook: Hook, rule: &str) -> Result<()> {
    let chain = hook.chain();
    netns.nft(&format!(
        "table inet {table} {{
            chain {chain} {{
                type filter hook {chain} priority filter
                {rule}
            }}
        }}"
    ))
}

/// How many packets the counting rules of `table` have met, in all families.
///
/// # Errors
///
/// nft fails, or prints something else than its JSON.
pub fn dropped(netns: &Netns, table: &str) -> Result<u64> {
    let text = netns.nft_output(&["-j", "list", "ruleset"])?;
    let ruleset: Value = serde_json::from_str(&text).context("nft's JSON")?;
    let rules = ruleset["nftables"]
        .as_array()
        .context("nft's JSON has no list")?;
    Ok(rules
        .iter()
        .map(|entry| &entry["rule"])
        .filter(|rule| rule["table"] == table)
        .filter_map(|rule| rule["expr"].as_array())
        .flatten()
        .filter_map(|expression| expression["counter"]["packets"].as_u64())
        .sum())
}
