//! Who lives in a namespace: its process and its container, as far as `/proc` tells.
//!
//! What is read here was named by containers; all of it is made printable on the way.

pub mod cgroup;

use std::fs;

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
    let place = fs::read(format!("/proc/{pid}/cgroup"))
        .ok()
        .and_then(|cgroup| cgroup::place(&cgroup));
    let (container, outer) = place.map_or((None, None), |place| {
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
    }
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
    }
}
