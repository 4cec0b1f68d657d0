//! The kernel's own counters: what happened, told without a tracer.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Netns;

/// A counter of `/proc/net/snmp` or `/proc/net/netstat`, such as `Ip` `FragFails`.
///
/// # Errors
///
/// The kernel has no such counter.
pub fn snmp(netns: &Netns, protocol: &str, counter: &str) -> Result<u64> {
    let text = netns.run(|| {
        // thread-self, since /proc/net is that of the process's first thread.
        let read = |name| {
            fs::read_to_string(format!("/proc/thread-self/net/{name}"))
                .with_context(|| format!("reading {name}"))
        };
        Ok(read("snmp")? + &read("netstat")?)
    })?;
    let mut lines = text.lines();
    // Two lines each: the names, then the values.
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let found = names
            .split_whitespace()
            .zip(values.split_whitespace())
            .find(|(name, _)| *name == counter);
        if names.split(':').next() == Some(protocol)
            && let Some((_, value)) = found
        {
            return value
                .parse()
                .with_context(|| format!("{protocol} {counter} is {value}"));
        }
    }
    anyhow::bail!("the kernel has no counter {protocol} {counter}")
}

/// A counter of `/proc/net/snmp6`, such as `Ip6FragFails`.
///
/// # Errors
///
/// The kernel has no such counter.
pub fn snmp6(netns: &Netns, counter: &str) -> Result<u64> {
    let text =
        netns.run(|| fs::read_to_string("/proc/thread-self/net/snmp6").context("reading snmp6"))?;
    text.lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(name, _)| *name == counter)
        .with_context(|| format!("the kernel has no counter {counter}"))?
        .1
        .trim()
        .parse()
        .with_context(|| format!("reading {counter}"))
}

/// How many packets an interface dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Instead of sending them.
    pub tx: u64,
    /// Instead of receiving them.
    pub rx: u64,
}

/// How many packets the interface `name` dropped.
///
/// # Errors
///
/// There is no such interface.
pub fn dropped(netns: &Netns, name: &str) -> Result<Dropped> {
    let text = netns.ip_output(&["-s", "-j", "link", "show", "dev", name])?;
    let links: Value = serde_json::from_str(&text).context("ip's JSON")?;
    let count = |way: &str| {
        links[0]["stats64"][way]["dropped"]
            .as_u64()
            .with_context(|| format!("{name} has no {way} statistics"))
    };
    Ok(Dropped {
        tx: count("tx")?,
        rx: count("rx")?,
    })
}
