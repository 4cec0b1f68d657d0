//! A lab's life: its id, its namespaces by role, and their removal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;
use crate::ownership::{self, Claim, HostShare, PREFIX};
use crate::{command, interrupt};

/// A set of network namespaces that exist as long as this value.
///
/// A namespace is known by its role (`in`, `out`, `host`, `srv`) and named `mtl<pid>x<number>-<role>`.
/// Labs of other threads and processes may exist at the same time, with the same addresses.
#[derive(Debug)]
pub struct Lab {
    id: String,
    namespaces: BTreeMap<&'static str, Netns>,
    // Fields are dropped in this order: first what keeps namespaces open, then their names, and the
    // host is given free when nothing of this lab is left on it.
    _claim: Claim,
    _host: Arc<HostShare>,
}

impl Lab {
    /// Makes an empty lab that others may run beside.
    ///
    /// # Errors
    ///
    /// Not root, or the lock directory cannot be written.
    pub fn new() -> Result<Self> {
        Self::with(HostShare::shared()?)
    }

    /// Makes an empty lab that has the host to itself: for what looks at whole-host results, such as
    /// `--exit-code`. Waits for those of other threads and processes to end.
    ///
    /// # Errors
    ///
    /// As [`Lab::new`], or this thread holds a lab already.
    pub fn exclusive() -> Result<Self> {
        Self::with(HostShare::exclusive()?)
    }

    fn with(host: Arc<HostShare>) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        interrupt::clean_up_on_signals()?;
        ownership::sweep()?;
        let id = format!("{}{}", own_prefix(), NEXT.fetch_add(1, Ordering::Relaxed));
        let claim = Claim::take(&id)?;
        Ok(Self {
            id,
            namespaces: BTreeMap::new(),
            _claim: claim,
            _host: host,
        })
    }

    /// The common start of the names of this lab's namespaces.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Adds one empty namespace per role, with its loopback up.
    ///
    /// # Errors
    ///
    /// A role is taken, or the kernel refuses.
    pub fn add(&mut self, roles: &[&'static str]) -> Result<()> {
        let batch: String = roles
            .iter()
            .map(|role| format!("netns add {}-{role}\n", self.id))
            .collect();
        command::run_with_input("ip", &["-batch", "-"], &batch)?;
        for role in roles {
            let netns = Netns::open(role, &format!("{}-{role}", self.id))?;
            netns.ip("link set lo up")?;
            // A link-local address under duplicate address detection cannot ask for neighbours, and
            // a forwarder without one answers "no route to host" in its first two seconds.
            for which in ["all", "default"] {
                netns.sysctl(&format!("ipv6/conf/{which}/accept_dad"), "0")?;
            }
            ensure!(
                self.namespaces.insert(role, netns).is_none(),
                "role {role} is taken"
            );
        }
        Ok(())
    }

    /// The namespace with this role.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn netns(&self, role: &str) -> Result<&Netns> {
        self.namespaces
            .get(role)
            .with_context(|| format!("lab {} has no namespace {role}", self.id))
    }

    /// All namespaces of this lab.
    pub fn namespaces(&self) -> impl Iterator<Item = &Netns> {
        self.namespaces.values()
    }
}

/// What the ids of all labs of this process begin with.
pub(crate) fn own_prefix() -> String {
    format!("{PREFIX}{}x", std::process::id())
}
