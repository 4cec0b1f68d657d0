//! The capabilities that tracing needs (`capabilities(7)`), and which of them are missing.

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
    /// Asks `/proc/self/status`.
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
