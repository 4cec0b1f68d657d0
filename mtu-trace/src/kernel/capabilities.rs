//! What this process may do: the capabilities that tracing needs (`capabilities(7)`), and kernel lockdown
//! (`kernel_lockdown(7)`), by which the kernel keeps some even from root.

use std::fs;

use anyhow::{Context as _, Result};

/// A capability and what it is for.
pub struct Capability {
    /// Its name, as `capabilities(7)` has it.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
    /// What is lost without it, where the trace goes on all the same.
    lost: Option<&'static str>,
    bit: u8,
    /// Whether CAP_SYS_ADMIN does as well.
    covered: bool,
}

const SYS_ADMIN: u8 = 21;

/// Every capability that tracing needs. Without the last two it goes on, and sees less.
pub const CAPABILITIES: &[Capability] = &[
    needed("CAP_SYS_ADMIN", SYS_ADMIN, "entering network namespaces"),
    needed(
        "CAP_NET_ADMIN",
        12,
        "asking network namespaces, attaching programs to devices",
    ),
    needed(
        "CAP_NET_BROADCAST",
        11,
        "hearing what happens in all network namespaces",
    ),
    Capability {
        covered: true,
        ..needed("CAP_BPF", 39, "loading kernel programs")
    },
    Capability {
        covered: true,
        ..needed("CAP_PERFMON", 38, "reading kernel memory from them")
    },
    Capability {
        lost: Some("namespaces and containers of other users' processes may go unseen or unnamed"),
        ..needed(
            "CAP_SYS_PTRACE",
            19,
            "finding the namespaces of other users' processes",
        )
    },
    // What is lost without it is told where the symbols are read.
    needed("CAP_SYSLOG", 34, "naming kernel functions"),
];

const fn needed(name: &'static str, bit: u8, purpose: &'static str) -> Capability {
    Capability {
        name,
        purpose,
        lost: None,
        bit,
        covered: false,
    }
}

/// Those this process has in effect.
pub struct Effective(u64);

impl Effective {
    /// The capabilities that `/proc/self/status` tells of; an error if it cannot be read.
    pub fn current() -> Result<Self> {
        let status = procfs::process::Process::myself()
            .and_then(|process| process.status())
            .context("cannot read /proc/self/status")?;
        Ok(Self(status.capeff))
    }

    /// Whether a capability, or one that does as well, is there.
    pub fn has(&self, capability: &Capability) -> bool {
        let bit = |bit: u8| self.0 & (1 << bit) != 0;
        bit(capability.bit) || (capability.covered && bit(SYS_ADMIN))
    }

    fn absent(&self) -> impl Iterator<Item = &'static Capability> {
        CAPABILITIES.iter().filter(|it| !self.has(it))
    }

    /// Names of the missing ones, with what each is for.
    pub fn missing(&self) -> Vec<String> {
        let named = |it: &Capability| format!("{} ({})", it.name, it.purpose);
        self.absent().map(named).collect()
    }

    /// What is lost for want of some, in sentences.
    pub fn limits(&self) -> Vec<String> {
        let limit = |it: &Capability| Some(format!("{} is missing: {}", it.name, it.lost?));
        self.absent().filter_map(limit).collect()
    }
}

/// Where the kernel says how far it is locked down; not there where it cannot be, or where nobody has
/// mounted securityfs.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
/// Where its memory may not be read, which every program of ours has to do. The other level, integrity,
/// forbids to change it, which none does.
const CONFIDENTIAL: &str = "[confidentiality]";

/// Why the running kernel refuses all programs, if that is why.
#[must_use]
pub fn refusal() -> Option<&'static str> {
    let text = fs::read_to_string(LOCKDOWN).ok()?;
    is_confidential(&text)
        .then_some("the kernel is locked down (confidentiality): programs may not read its memory")
}

/// Reads `none [integrity] confidentiality`, in which the level is marked.
fn is_confidential(text: &str) -> bool {
    text.split_whitespace().any(|level| level == CONFIDENTIAL)
}

#[cfg(test)]
mod tests {
    use super::is_confidential;

    #[test]
    fn the_marked_level_counts() {
        for text in [
            "[none] integrity confidentiality\n",
            "none [integrity] confidentiality\n",
            "",
        ] {
            assert!(!is_confidential(text), "{text}");
        }
        assert!(is_confidential("none integrity [confidentiality]\n"));
    }
}
