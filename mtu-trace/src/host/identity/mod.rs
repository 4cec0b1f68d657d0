//! Who lives in a namespace: its process, its container, its systemd unit, as far as `/proc` and the
//! container engines' own files tell.
//!
//! What is read here was named by containers; all of it is made printable on the way.

pub(crate) mod ancestry;
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
        let engine = ancestry::engine(pid, &place.id);
        // With the host's cgroups, or those of a namespace of their own, containers in a container
        // are not below it.
        let around = engine.as_ref().and_then(|engine| engine.place.as_ref());
        identity.outer = place.outer.or_else(|| Some(around?.id.clone()));
        identity.engine = engine.map(|engine| engine.pid);
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
}
