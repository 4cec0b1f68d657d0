//! Who lives in a namespace: its process, its container, its systemd unit, as far as `/proc` and the
//! container engines' own files tell.
//!
//! What is read here was named by containers; all of it is made printable on the way.

pub mod cgroup;
mod engine;
mod mounted;
mod names;
mod rooted;
mod unit;

use std::fs;

pub use self::{engine::Named, names::Names};

use self::cgroup::Place;
use crate::topology::{Container, Process, name::printable};

/// What a process says about the namespace it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The process, if it still exists.
    pub process: Option<Process>,
    /// The container it is in. Its parent is not filled in: see [`Identity::outer`].
    pub container: Option<Container>,
    /// Identifier of the container in which the engine of that container runs.
    pub outer: Option<String>,
    /// Its systemd unit.
    pub unit: Option<String>,
}

/// Looks at a process. One that has vanished has no identity.
#[must_use]
pub fn identify(pid: i32) -> Identity {
    let Ok(comm) = fs::read(format!("/proc/{pid}/comm")) else {
        return Identity::default();
    };
    let process = Process {
        pid,
        comm: printable(comm.strip_suffix(b"\n").unwrap_or(&comm)),
    };
    let cgroup = fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let (container, outer) = place(pid, &cgroup).map_or((None, None), |place| {
        let container = Container {
            id: place.id,
            name: None,
            image: None,
            runtime: place.runtime.to_owned(),
            pod: place.pod,
            pod_name: None,
            parent: None,
        };
        (Some(container), place.outer)
    });
    Identity {
        process: Some(process),
        container,
        outer,
        unit: unit::unit(&cgroup),
    }
}

/// The container of a process: by its cgroup, else by what is mounted in it.
fn place(pid: i32, cgroup: &[u8]) -> Option<Place> {
    cgroup::place(cgroup).or_else(|| {
        let mountinfo = fs::read(format!("/proc/{pid}/mountinfo")).ok()?;
        let (id, runtime) = mounted::place(&mountinfo)?;
        Some(Place {
            id,
            runtime,
            pod: None,
            outer: None,
        })
    })
}

/// A process of a container, looked for among all processes; the one with the lowest pid.
#[must_use]
pub fn process_of(id: &str) -> Option<i32> {
    let processes = fs::read_dir("/proc").ok()?;
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let cgroup = fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            cgroup::place(&cgroup).is_some_and(|place| place.id == id)
        })
        .min()
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
