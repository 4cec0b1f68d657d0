//! Who lives in a namespace: its process, its container, its systemd unit, as far as `/proc` and the
//! container engines' own files tell.
//!
//! What is read here was named by containers; all of it is made printable on the way.

pub(crate) mod cgroup;
pub(crate) mod engine;
pub(crate) mod mounted;
pub(crate) mod names;
pub(crate) mod rooted;

use std::{fs, io};

pub use names::{ContainerNames, Whereabouts};

use crate::base::text::printable;
use crate::host::identity::cgroup::ContainerCgroup;
use crate::model::network::{Container, Process};

/// Ancestors looked at: those inside the container, which are none for its first process.
const MOST_ANCESTORS: usize = 16;

/// What a process says about the namespace it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The process, if it still exists.
    pub process: Option<Process>,
    /// The container it is in. Its parent is not filled in: see [`Identity::outer`].
    pub container: Option<Container>,
    /// Identifier of the container in which the engine of that container runs.
    pub outer: Option<String>,
    /// A process of that engine.
    pub engine: Option<i32>,
    /// The systemd unit it belongs to; `None` if it belongs to none.
    pub unit: Option<String>,
}

/// Looks at a process. One that has vanished has no identity.
#[must_use]
pub fn identify(pid: i32) -> Identity {
    let Ok(comm) = fs::read(format!("/proc/{pid}/comm")) else {
        return Identity::default();
    };
    let cgroup = fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let mut identity = Identity {
        process: Some(Process {
            pid,
            comm: printable(comm.strip_suffix(b"\n").unwrap_or(&comm)),
        }),
        unit: cgroup::unit(&cgroup),
        ..Identity::default()
    };
    if let Some(place) = place(pid, &cgroup) {
        let engine = engine(pid, &place.id);
        identity.engine = engine.as_ref().map(|(pid, _)| *pid);
        // With the host's cgroups, or those of a namespace of their own, containers in a container
        // are not below it.
        let around = engine.and_then(|(_, around)| Some(around?.id));
        identity.outer = place.outer.or(around);
        identity.container = Some(Container {
            id: place.id,
            name: None,
            image: None,
            runtime: place.runtime.to_owned(),
            pod: place.pod,
            pod_name: None,
            parent: None,
        });
    }
    identity
}

/// The container of a process: by its cgroup, else by what is mounted in it.
fn place(pid: i32, cgroup: &[u8]) -> Option<ContainerCgroup> {
    cgroup::place(cgroup).or_else(|| {
        let mountinfo = fs::read(format!("/proc/{pid}/mountinfo")).ok()?;
        let (id, runtime) = mounted::place(&mountinfo)?;
        Some(ContainerCgroup {
            id,
            runtime,
            pod: None,
            outer: None,
        })
    })
}

/// A process of the engine that made the container `id` that a process is in, and the container which
/// that engine is in: the first ancestor that is not in the container was started by its engine (a shim
/// of containerd, conmon, or the engine itself), and lives where the engine does. `None` if the
/// ancestors are gone: then the process has been handed to the first.
fn engine(mut pid: i32, id: &str) -> Option<(i32, Option<ContainerCgroup>)> {
    for _ in 0..MOST_ANCESTORS {
        pid = parent(&fs::read(format!("/proc/{pid}/stat")).ok()?).filter(|parent| *parent > 1)?;
        let place = located(pid);
        if place.as_ref().is_none_or(|place| place.id != id) {
            return Some((pid, place));
        }
    }
    None
}

/// The parent in a `/proc/PID/stat`.
fn parent(stat: &[u8]) -> Option<i32> {
    field(stat, 4)?.parse().ok()
}

/// A field of a `/proc/PID/stat` behind the name, numbered as in `proc_pid_stat(5)`. The name can have
/// parentheses and spaces.
fn field(stat: &[u8], number: usize) -> Option<&str> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

/// When a process was started, in clock ticks since boot; `None` once it is gone.
pub(crate) fn started(pid: i32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    field(&stat, 22)?.parse().ok()
}

/// Whether a process is in a container.
#[must_use]
pub fn is_in(pid: i32, id: &str) -> bool {
    located(pid).is_some_and(|place| place.id == id)
}

/// The container of a process, which may be gone.
fn located(pid: i32) -> Option<ContainerCgroup> {
    let cgroup = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    place(pid, &cgroup)
}

/// The entries of a directory that are numbers, in order: of `/proc`, all processes.
pub(crate) fn numbers(directory: &str) -> io::Result<Vec<i32>> {
    let entries = fs::read_dir(directory)?;
    // A process's directory can vanish while it is read (`ESRCH`).
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<i32> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A process of a container, looked for among all processes; the one with the lowest pid.
#[must_use]
pub fn process_of(id: &str) -> Option<i32> {
    let mut processes = numbers("/proc").ok()?.into_iter();
    processes.find(|pid| {
        let cgroup = fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroup::place(&cgroup).is_some_and(|place| place.id == id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_is_identified() {
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let identity = identify(pid);
        let process = identity.process.expect("this process");
        assert_eq!(process.pid, pid);
        assert!(!process.comm.is_empty());
        assert!(!process.comm.contains('\n'));
        assert_eq!(identify(i32::MAX), Identity::default());
        assert_eq!(process_of(&"0".repeat(64)), None);
    }

    #[test]
    fn names_do_not_hide_the_parent() {
        assert_eq!(parent(b"4711 (sh) S 42 4711 4711 0"), Some(42));
        assert_eq!(parent(b"4711 (a) S 7 (b) S 42 4711"), Some(42));
        assert_eq!(parent(b"4711 (sh"), None);
        assert_eq!(parent(b"4711 (sh) S"), None);
        assert_eq!(parent(b""), None);
    }

    #[test]
    fn the_first_ancestor_outside_is_of_the_engine() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let stat = fs::read("/proc/self/stat").expect("this process");
        let above = parent(&stat).filter(|parent| *parent > 1);
        let found = engine(own, "of a container that this process is not in");
        assert_eq!(found.map(|(pid, _)| pid), above);
        assert_eq!(engine(i32::MAX, ""), None);
    }
}
