//! Tests on real namespaces. They need root and `ip`, and pass without a look where there is none.

mod finding;
mod following;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::*;
use crate::host::watcher::Changes;
use crate::host::watcher::notice::Notice;
use crate::model::network::{Link, Netns, Peer};

/// How the names of all namespaces of these tests begin. The test, a process id and a hyphen follow.
const PREFIX: &str = "mtt-";
/// How long to wait for the kernel, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Namespaces with names of this test only, removed at its end, or by the next run if this one
/// does not get that far.
pub(crate) struct Lab {
    prefix: &'static str,
    children: Vec<Child>,
}

impl Lab {
    /// `None` without root.
    pub fn new(prefix: &'static str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            lab::skips::skip(module_path!(), "not root");
            return None;
        }
        let lab = Self {
            prefix,
            children: Vec::new(),
        };
        lab.clean();
        remove_namespaces(is_left_over);
        Some(lab)
    }

    /// Runs `ip`, with `@x` in an argument for the name of namespace `x`.
    pub fn ip(&self, arguments: &str) {
        let arguments = arguments.replace('@', &self.name(""));
        run(Command::new("ip").args(arguments.split_whitespace()));
    }

    pub fn name(&self, netns: &str) -> String {
        // Another run of these tests may be under way.
        format!("{PREFIX}{}{}-{netns}", self.prefix, std::process::id())
    }

    fn clean(&self) {
        remove_namespaces(|name| name.starts_with(&self.name("")));
    }
}

fn remove_namespaces(which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if which(&name) {
            // Another test may be quicker.
            let _outcome = Command::new("ip").args(["netns", "del", &name]).output();
        }
    }
}

/// Whether a namespace is that of a run of these tests whose process has died.
fn is_left_over(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new("/proc").join(pid).exists())
}

/// The process id in a name that [`Lab::name`] gives.
fn owner(name: &str) -> Option<&str> {
    let (lab, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let pid = lab.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let digits = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    (digits && pid.len() < lab.len()).then_some(pid)
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _gone = child.kill();
            let _status = child.wait();
        }
        self.clean();
    }
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("the command runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn watcher() -> Watcher {
    let mut watcher = Watcher::new().expect("a watcher");
    watcher.refresh(Depth::Normal, 0).expect("a first look");
    watcher
}

/// The id of the namespace with a name, gone ones excluded.
pub(crate) fn find(topology: &Topology, name: &str) -> Option<NetnsId> {
    topology
        .namespaces
        .iter()
        .find(|(_, netns)| netns.name.as_deref() == Some(name) && !netns.gone)
        .map(|(&id, _)| id)
}

pub(crate) fn link<'a>(
    topology: &'a Topology,
    netns: &str,
    name: &str,
) -> (NetnsId, u32, &'a Link) {
    let id = find(topology, netns).unwrap_or_else(|| panic!("{netns} in {topology:#?}"));
    let netns = &topology.namespaces[&id];
    let (&ifindex, link) = netns
        .links
        .iter()
        .find(|(_, link)| link.name == name)
        .unwrap_or_else(|| panic!("{name} in {netns:#?}"));
    (id, ifindex, link)
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Follows until the topology is as wished, and says what has changed on the way.
fn follow_until(
    watcher: &mut Watcher,
    what: &str,
    mut done: impl FnMut(&Topology) -> bool,
) -> Changes {
    let mut all = Changes::default();
    wait_for(what, || {
        let changes = watcher.follow(0).expect("a look");
        all.added.extend(changes.added);
        all.changed.extend(changes.changed);
        all.gone.extend(changes.gone);
        done(watcher.topology())
    });
    all
}

/// Whether a namespace has a link with this name.
fn has(topology: &Topology, netns: &str, name: &str) -> bool {
    find(topology, netns).is_some_and(|id| names(topology, id).contains(&name))
}

fn names(topology: &Topology, id: NetnsId) -> Vec<&str> {
    let links = topology.namespaces[&id].links.values();
    links.map(|link| link.name.as_str()).collect()
}
