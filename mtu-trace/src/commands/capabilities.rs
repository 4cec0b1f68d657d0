//! The capabilities that tracing needs (`capabilities(7)`), and which of them are missing.

use anyhow::{Context as _, Result};

/// A capability and what it is for.
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
    bit: u8,
    /// Whether CAP_SYS_ADMIN does as well.
    covered: bool,
}

const SYS_ADMIN: u8 = 21;

/// Every capability that tracing needs.
pub const CAPABILITIES: &[Capability] = &[
    needed("CAP_SYS_ADMIN", SYS_ADMIN, "entering network namespaces"),
    needed("CAP_NET_ADMIN", 12, "attaching programs to devices"),
    covered("CAP_BPF", 39, "loading kernel programs"),
    covered("CAP_PERFMON", 38, "reading kernel memory from them"),
    needed(
        "CAP_SYS_PTRACE",
        19,
        "finding the namespaces of other users' processes",
    ),
    needed("CAP_SYSLOG", 34, "naming kernel functions"),
];

const fn needed(name: &'static str, bit: u8, purpose: &'static str) -> Capability {
    Capability {
        name,
        purpose,
        bit,
        covered: false,
    }
}

const fn covered(name: &'static str, bit: u8, purpose: &'static str) -> Capability {
    Capability {
        name,
        purpose,
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
}
