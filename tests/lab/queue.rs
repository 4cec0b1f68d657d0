//! Queues that are too short: loss by congestion, whatever the length of a packet.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Netns;

/// A token bucket that a device sends through. The default is full after a few packets.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// How fast it empties, kbit/s.
    pub rate_kbit: u32,
    /// How many bytes may leave at once. At least one full-size frame, or nothing does.
    pub burst: u32,
    /// How many bytes may wait.
    pub limit: u32,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            rate_kbit: 2000,
            burst: 5000,
            limit: 6000,
        }
    }
}

/// Makes `device` send through a token bucket; what finds it full is dropped.
///
/// # Errors
///
/// The kernel has no tbf, or the device has another queue already.
pub fn narrow(netns: &Netns, device: &str, bucket: Bucket) -> Result<()> {
    let rate = format!("{}kbit", bucket.rate_kbit);
    let [burst, limit] = [bucket.burst, bucket.limit].map(|bytes| format!("{bytes}b"));
    netns
        .tc(&[
            "qdisc", "add", "dev", device, "root", "tbf", "rate", &rate, "burst", &burst, "limit",
            &limit,
        ])
        .map(drop)
}

/// How many packets the queue of `device` has dropped.
///
/// # Errors
///
/// There is no such device, or it has no queue.
pub fn dropped(netns: &Netns, device: &str) -> Result<u64> {
    let text = netns.tc(&["-s", "-j", "qdisc", "show", "dev", device])?;
    let queues: Value = serde_json::from_str(&text).context("tc's JSON")?;
    queues[0]["drops"]
        .as_u64()
        .with_context(|| format!("{device} has no queue"))
}
