//! What a host leaves on this machine, its removal, and the proof that nothing is left.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::command;
use lab::process::ends_within;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long the processes of a host may take to end once they are killed.
const END_LIMIT: Duration = Duration::from_secs(20);

/// What there is of one host.
pub struct Remains {
    /// Part of the name of all it has: namespaces, cgroups, its directory.
    id: String,
    /// What the engines write.
    state: PathBuf,
    /// The host's first process, with which all others end.
    first: Option<OwnedFd>,
}

impl Remains {
    /// Those of the host `id`, which keeps all it writes in `state`.
    pub fn new(id: &str, state: &Path) -> Self {
        Self {
            id: id.to_owned(),
            state: state.to_owned(),
            first: None,
        }
    }

    /// Makes `first` the process with which all of the host ends.
    pub fn ends_with(&mut self, first: OwnedFd) {
        self.first = Some(first);
    }

    /// Removes everything but the named namespaces, which are the lab's. Can be done again.
    pub fn remove(&mut self) -> Result<()> {
        if let Some(first) = self.first.take() {
            end(&first)?;
        }
        // Those of a host that was about to start, which end by themselves, but in their own time.
        for pid in self.inhabitants() {
            let Some(pid) = Pid::from_raw(pid) else {
                continue;
            };
            if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
                end(&process)?;
            }
        }
        for cgroup in cgroups(&self.id)? {
            fs::remove_dir(&cgroup)
                .with_context(|| format!("cannot remove {}", cgroup.display()))?;
        }
        match fs::remove_dir_all(&self.state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.state.display()))
            }
            _ => Ok(()),
        }
    }

    /// Processes that see a directory of this host mounted: only its own do.
    fn inhabitants(&self) -> Vec<i32> {
        processes()
            .filter(|pid| !self.mounts(*pid).is_empty())
            .collect()
    }

    /// The mounts of this host that a process sees, known by its name as a part of their paths.
    fn mounts(&self, pid: i32) -> Vec<String> {
        // One that vanishes meanwhile sees nothing.
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let part = format!("/{}/", self.id);
        let own = mounts.lines().filter(|line| line.contains(&part));
        own.map(str::to_owned).collect()
    }

    /// Everything of this host that is still on the machine, in words.
    pub fn left(&self) -> Result<Vec<String>> {
        let mut left: Vec<String> = cgroups(&self.id)?
            .into_iter()
            .map(|path| format!("cgroup {}", path.display()))
            .collect();
        if self.state.exists() {
            left.push(format!("directory {}", self.state.display()));
        }
        for name in names("/run/netns") {
            if name.starts_with(&self.id) {
                left.push(format!("network namespace /run/netns/{name}"));
            }
        }
        for pid in processes() {
            let read =
                |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            if read("cgroup").contains(&self.id) {
                left.push(format!("process {pid} ({})", read("comm").trim()));
            }
            for line in self.mounts(pid) {
                left.push(format!("mount seen by process {pid}: {line}"));
            }
        }
        Ok(left)
    }
}

/// Kills a process and waits for its end. It may have ended by itself.
fn end(process: &OwnedFd) -> Result<()> {
    let _ = pidfd_send_signal(process, Signal::KILL);
    wait_ended(process, END_LIMIT).context("the host")
}

/// Fails if a process still runs after `limit`.
pub fn wait_ended(process: &OwnedFd, limit: Duration) -> Result<()> {
    ensure!(
        ends_within(process.as_fd(), limit)?,
        "still runs after {limit:?}"
    );
    Ok(())
}

/// What is the machine's own and must stay as it is.
#[derive(PartialEq, Eq)]
pub struct Machine {
    links: String,
    rules: String,
    mounts: BTreeSet<String>,
}

impl Machine {
    /// As it is now.
    pub fn now() -> Result<Self> {
        let links = command::output(Command::new("ip").args(["-oneline", "-brief", "address"]))?;
        let rules = command::output(Command::new("nft").args(["--stateless", "list", "ruleset"]))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("this machine's mounts")?;
        // Other labs' namespaces come and go; this one's are looked for by name.
        let mounts = mounts
            .lines()
            .filter(|line| !line.contains(" - nsfs "))
            .map(str::to_owned)
            .collect();
        Ok(Self {
            links,
            rules,
            mounts,
        })
    }

    /// Fails if something is different now.
    pub fn compare(&self) -> Result<()> {
        let now = Self::now()?;
        ensure!(
            self.links == now.links,
            "the machine's interfaces have changed:\n{}now\n{}",
            self.links,
            now.links
        );
        ensure!(
            self.rules == now.rules,
            "the machine's packet filter has changed"
        );
        let new: Vec<&String> = now.mounts.difference(&self.mounts).collect();
        ensure!(new.is_empty(), "the machine has new mounts: {new:?}");
        Ok(())
    }
}

/// The cgroups named after a host, in every hierarchy, those inside first.
fn cgroups(id: &str) -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("this machine's mounts")?;
    let mut found = Vec::new();
    for line in mounts.lines().filter(|line| line.contains(" - cgroup")) {
        let Some(point) = line.split(' ').nth(4) else {
            continue;
        };
        let mut below = Vec::new();
        collect(Path::new(point), &mut below);
        let is_own = |path: &PathBuf| path.iter().any(|part| part == id);
        found.extend(below.into_iter().filter(is_own));
    }
    Ok(found)
}

/// Adds the directories below `directory` to `found`, each after those in it.
fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    // Cgroups come and go.
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
            found.push(entry.path());
        }
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let names = names("/proc").into_iter();
    names.filter_map(|name| name.parse().ok())
}

fn names(directory: &str) -> Vec<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
