//! What this host has, for the sizes of what is kept.

use std::fs;
use std::path::Path;

use rustix::system::sysinfo;

use crate::kernel::sizes::{HostFacts, USUAL_MEMORY_BYTES};

/// The part of the host's memory that a tracer without a limit takes at most. A choice: it has to leave the
/// host to what it traces.
const PART_OF_HOST: u64 = 8;
/// Where control groups of version 2 are mounted (`cgroups(7)`).
const CGROUPS: &str = "/sys/fs/cgroup";

impl HostFacts {
    /// Those of this host; `memory_bytes` is what was asked for.
    #[must_use]
    pub fn of_this(memory_bytes: Option<u64>) -> Self {
        let usual = || {
            let info = sysinfo();
            let host = u64::from(info.mem_unit).saturating_mul(info.totalram) / PART_OF_HOST;
            let allowed = limit().unwrap_or(USUAL_MEMORY_BYTES);
            allowed.min(host)
        };
        Self {
            memory_bytes: memory_bytes.unwrap_or_else(usual),
            cpus: aya::util::nr_cpus().map_or(1, |cpus| cpus as u64),
            conntrack_max: number("/proc/sys/net/netfilter/nf_conntrack_max"),
            tcp_sockets: tcp_sockets().unwrap_or(0),
        }
    }
}

/// The least memory that the control groups around this process allow, bytes; `None` where none says.
fn limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let around = Path::new(own).ancestors();
    let files = around.map(|group| Path::new(CGROUPS).join(group).join("memory.max"));
    files.filter_map(number).min()
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// TCP sockets of the host, whatever their namespaces: `alloc` counts them all (`sockstat_seq_show`).
fn tcp_sockets() -> Option<u64> {
    allocated(&fs::read_to_string("/proc/net/sockstat").ok()?)
}

fn allocated(sockstat: &str) -> Option<u64> {
    let line = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "alloc")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocated_sockets_are_read() {
        let text =
            "sockets: used 168\nTCP: inuse 3 orphan 0 tw 2 alloc 17 mem 1\nUDP: inuse 1 mem 0\n";
        assert_eq!(allocated(text), Some(17));
        assert_eq!(allocated("sockets: used 168\n"), None);
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        assert_eq!(HostFacts::of_this(Some(5)).memory_bytes, 5);
        let facts = HostFacts::of_this(None);
        assert!(facts.memory_bytes > 0 && facts.cpus > 0, "{facts:?}");
    }
}
