//! The Docker engines that run, and what each one's default network gives the containers that it will
//! start: `docker build` and `docker run` use that network unless told otherwise.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::base::clock::booted;
use crate::host::identity::engine::options::{
    Flags, is_detached, network, parse_settings, settings_path,
};
use crate::host::identity::numbers;
use crate::host::identity::rooted::{LinkRule, Root, read_whole};
use crate::host::netns::linked_inode;
use crate::model::engine::Dockerd;

/// What engines call themselves (`/proc/PID/comm`).
const COMM: &[u8] = b"dockerd\n";
/// `CAP_NET_ADMIN`, among a process's capabilities.
const NET_ADMIN: u64 = 1 << 12;
/// Engines looked at: whoever can start a process can call it so.
const MOST: usize = 256;
/// How long all of them have to be looked at: the kernel reads a command line out of the memory of its
/// process, which may be a file on a file system that answers when it pleases.
const LIMIT: Duration = Duration::from_secs(2);
/// More is not read of a command line or an environment.
const MOST_BYTES: u64 = 1 << 20;

/// The engines that run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerds {
    /// Those with a default network, by pid.
    pub found: Vec<Dockerd>,
    /// How many there are of which that could not be found out.
    pub unread: usize,
    /// How many there are whose settings have changed since they were started: an engine asked to read
    /// them again does not take over what they say of its default network.
    pub outdated: usize,
}

/// What is found out of an engine.
enum Seen {
    /// It has no default network, or is none.
    Nothing,
    /// The engine has a default network.
    DefaultNetwork(Dockerd),
    /// What its settings were when it was started is not known.
    Outdated,
}

/// Looks for the engines that run.
#[must_use]
pub fn dockerds() -> Dockerds {
    let mut pids = numbers("/proc").unwrap_or_default();
    pids.retain(|pid| {
        let comm = fs::read(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm == COMM) && may_make_networks(*pid)
    });
    let beyond = pids.len().saturating_sub(MOST);
    pids.truncate(MOST);
    let mut dockerds = look_at(pids, LIMIT, |pid| match look(pid) {
        // One that is gone is not missed.
        Err(_) if !Path::new(&format!("/proc/{pid}")).exists() => Ok(Seen::Nothing),
        seen => seen,
    });
    dockerds.unread += beyond;
    dockerds
}

/// Looks at one after the other, on a thread that is left alone if it takes longer than it may: what it
/// has not seen by then is unread.
fn look_at(
    pids: Vec<i32>,
    limit: Duration,
    look: impl Fn(i32) -> Result<Seen> + Send + 'static,
) -> Dockerds {
    let deadline = Instant::now() + limit;
    let mut dockerds = Dockerds {
        unread: pids.len(),
        ..Dockerds::default()
    };
    let (sender, receiver) = mpsc::channel();
    let looker = thread::Builder::new().name("engines".to_owned());
    // Without a thread the channel is closed at once.
    let _left_alone = looker.spawn(move || {
        // When nobody waits any more, it is enough.
        let mut seen = pids.into_iter().map(look);
        seen.all(|seen| sender.send(seen).is_ok())
    });
    let left = || deadline.saturating_duration_since(Instant::now());
    while let Ok(seen) = receiver.recv_timeout(left()) {
        let Ok(seen) = seen else { continue };
        dockerds.unread -= 1;
        match seen {
            Seen::Nothing => {}
            Seen::DefaultNetwork(found) => dockerds.found.push(found),
            Seen::Outdated => dockerds.outdated += 1,
        }
    }
    dockerds
}

/// Whether a process has what it takes to be an engine. One in a container that was given no rights has
/// not, even if it is in the host's network: it has no say in what is foreseen there.
fn may_make_networks(pid: i32) -> bool {
    let status = procfs::process::Process::new(pid).and_then(|process| process.status());
    // What cannot be read is missed later.
    status.map_or(true, |status| status.capeff & NET_ADMIN != 0)
}

/// What an engine gives.
fn look(pid: i32) -> Result<Seen> {
    let cmdline = read(pid, "cmdline")?;
    if cmdline.is_empty() {
        return Ok(Seen::Nothing); // it has ended, and nobody has noticed yet
    }
    let flags = Flags::parse(&cmdline);
    let environ = read(pid, "environ")?;
    let (path, settings) = if flags.say_all() {
        (String::new(), Value::Null)
    } else {
        let path = settings_path(&flags, &environ)?;
        match Root::of(pid)?.read(&path, LinkRule::Linked) {
            Ok(content) if content.changed > started(pid)? => return Ok(Seen::Outdated),
            Ok(content) => (path, parse_settings(&content.bytes)?),
            // One that was named must have been there.
            Err(error) if error.kind() == io::ErrorKind::NotFound && flags.settings.is_none() => {
                (path, Value::Null)
            }
            Err(error) => return Err(error).context("reading the settings"),
        }
    };
    let netns_inode = linked_inode(format!("/proc/{pid}/ns/net"))?;
    let Some(found) = network((pid, netns_inode), &flags, &path, &settings)? else {
        return Ok(Seen::Nothing);
    };
    let host = linked_inode("/proc/1/ns/net").ok();
    ensure!(
        !is_detached(&environ, netns_inode, host),
        "its networks are elsewhere"
    );
    Ok(Seen::DefaultNetwork(found))
}

/// When a process was started, since the Epoch. That is known by the tick, and it is the end of it that
/// is given: settings are often written right before, and no engine has read them that early.
fn started(pid: i32) -> Result<Duration> {
    let ticks = procfs::process::Process::new(pid)?.stat()?.starttime;
    let tick_ns = 1_000_000_000 / procfs::ticks_per_second().max(1);
    let end_ns = ticks.saturating_add(1).saturating_mul(tick_ns);
    Ok(booted().saturating_add(Duration::from_nanos(end_ns)))
}

fn read(pid: i32, file: &str) -> io::Result<Vec<u8>> {
    let file = File::open(format!("/proc/{pid}/{file}"))?;
    read_whole(&file, MOST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_blocks_does_not_block_the_rest() {
        let (answer, never) = mpsc::channel::<Seen>();
        let look = move |pid| match pid {
            1 => Ok(Seen::Outdated),
            2 => Ok(Seen::Nothing),
            3 => anyhow::bail!("not to be read"),
            _ => Ok(never.recv()?),
        };
        let found = look_at(vec![1, 2, 3, 4, 5], Duration::from_millis(500), look);
        let expected = Dockerds {
            unread: 3,
            outdated: 1,
            ..Dockerds::default()
        };
        assert_eq!(found, expected);
        drop(answer);
    }
}
