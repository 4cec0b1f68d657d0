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
    covered("CAP_BPF", 39, "loading kernel programs"),
    covered("CAP_PERFMON", 38, "reading kernel memory from them"),
    useful(
        "CAP_SYS_PTRACE",
        19,
        "finding the namespaces of other users' processes",
        Some("namespaces and containers of other users' processes may go unseen or unnamed"),
    ),
    // What is lost without it is told where the symbols are read.
    useful("CAP_SYSLOG", 34, "naming kernel functions", None),
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

const fn useful(
    name: &'static str,
    bit: u8,
    purpose: &'static str,
    lost: Option<&'static str>,
) -> Capability {
    Capability {
        lost,
        ..needed(name, bit, purpose)
    }
}

const fn covered(name: &'static str, bit: u8, purpose: &'static str) -> Capability {
    Capability {
        name,
        purpose,
        lost: None,
        bit,
        covered: true,
    }
}

/// Those this process has in effect.
pub struct Effective(u64);

impl Effective {
    /// Asks `/proc/self/status`.
    ///
    /// # Errors
    ///
    /// If that cannot be read.
    pub fn current() -> Result<Self> {
        let status = procfs::process::Process::myself()
            .and_then(|process| process.status())
            .context("cannot read /proc/self/status")?;
        Ok(Self(status.capeff))
    }

    /// Whether a capability, or one that does as well, is there.
    #[must_use]
    pub fn has(&self, capability: &Capability) -> bool {
        self.bit(capability.bit) || (capability.covered && self.bit(SYS_ADMIN))
    }

    fn bit(&self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }

    /// Names of the missing ones, with what each is for.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        CAPABILITIES
            .iter()
            .filter(|capability| !self.has(capability))
            .map(|capability| format!("{} ({})", capability.name, capability.purpose))
            .collect()
    }

    /// What is lost for want of some, in sentences.
    #[must_use]
    pub fn limits(&self) -> Vec<String> {
        CAPABILITIES
            .iter()
            .filter(|capability| !self.has(capability))
            .filter_map(|capability| Some((capability.name, capability.lost?)))
            .map(|(name, lost)| format!("{name} is missing: {lost}"))
            .collect()
    }
}
