//! One network namespace: entering it, and the tools that set it up.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command;

/// A named network namespace of a lab.
#[derive(Debug)]
pub struct Netns {
    role: &'static str,
    name: String,
    file: File,
    inode: u64,
}

impl Netns {
    /// Opens the namespace that `ip netns` knows as `name`.
    pub(crate) fn open(role: &'static str, name: &str) -> Result<Self> {
        let path = Path::new("/run/netns").join(name);
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let inode = file
            .metadata()
            .with_context(|| format!("reading {}", path.display()))?
            .ino();
        Ok(Self {
            role,
            name: name.to_owned(),
            file,
            inode,
        })
    }

    /// What it stands for in its lab.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// The name that `ip netns` lists.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode number of the namespace, which is what `/proc/PID/ns/net` shows.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` in this namespace.
    ///
    /// It runs on a thread of its own, because a network namespace belongs to a thread: the caller
    /// stays where it is. Sockets, child processes and `/proc/thread-self/net` and `/proc/sys/net`
    /// are then those of this namespace.
    ///
    /// # Errors
    ///
    /// The namespace cannot be entered (not root), or `work` panicked or failed.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let entered = || {
            enter(&self.file, &self.name)?;
            work()
        };
        thread::scope(|scope| {
            thread::Builder::new()
                .name(self.role.to_owned())
                .spawn_scoped(scope, entered)
                .context("starting a thread")?
                .join()
                .map_err(|_| anyhow!("a thread in {} panicked", self.name))?
        })
        .with_context(|| format!("in the namespace {}", self.name))
    }

    /// Runs the lines of `batch` as `ip` commands in this namespace.
    ///
    /// # Errors
    ///
    /// A command failed; the ones after it were not run.
    pub fn ip(&self, batch: &str) -> Result<()> {
        command::run_with_input("ip", &["-n", &self.name, "-batch", "-"], batch).map(drop)
    }

    /// What `ip ARGS` prints in this namespace.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn ip_output(&self, args: &[&str]) -> Result<String> {
        command::run("ip", &[&["-n", &self.name], args].concat())
    }

    /// What `tc ARGS` prints in this namespace.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn tc(&self, args: &[&str]) -> Result<String> {
        command::run("tc", &[&["-n", &self.name], args].concat())
    }

    /// Loads `ruleset` with `nft` in this namespace.
    ///
    /// # Errors
    ///
    /// nft refuses it.
    pub fn nft(&self, ruleset: &str) -> Result<()> {
        self.run(|| command::run_with_input("nft", &["-f", "-"], ruleset).map(drop))
    }

    /// What `nft ARGS` prints in this namespace.
    ///
    /// # Errors
    ///
    /// The command failed.
    pub fn nft_output(&self, args: &[&str]) -> Result<String> {
        self.run(|| command::run("nft", args))
    }

    /// Writes `value` to `/proc/sys/net/KEY` of this namespace.
    ///
    /// # Errors
    ///
    /// The kernel has no such setting, or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(key);
        self.run(|| {
            fs::write(&path, value)
                .with_context(|| format!("writing {value} to {}", path.display()))
        })
    }

    /// Lets this namespace forward packets, IPv4 and IPv6.
    ///
    /// # Errors
    ///
    /// The settings cannot be written.
    pub fn forward(&self) -> Result<()> {
        self.sysctl("ipv4/ip_forward", "1")?;
        self.sysctl("ipv6/conf/all/forwarding", "1")
    }
}

/// Moves the calling thread into a network namespace.
fn enter(namespace: &impl AsFd, name: &str) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("cannot enter the network namespace {name} (the lab needs root)"))
}
