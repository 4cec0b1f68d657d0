//! The engine of a container, as the processes tell: the first ancestor of a container's process
//! that is not in the container was started by its engine, and lives where the engine does.

use std::fs;

use crate::host::identity::cgroup::ContainerCgroup;
use crate::host::identity::located;

/// Ancestors looked at: those inside the container, which are none for its first process.
const MOST: usize = 16;

/// A process of the engine that made a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineProcess {
    /// The process: a shim of containerd, conmon, or the engine itself.
    pub pid: i32,
    /// The container it is in.
    pub place: Option<ContainerCgroup>,
}

/// The engine of the container `id` that the process is in. `None` if its ancestors are gone: then
/// it has been handed to the first process.
#[must_use]
pub fn engine(pid: i32, id: &str) -> Option<EngineProcess> {
    let mut pid = pid;
    for _ in 0..MOST {
        pid = parent(&fs::read(format!("/proc/{pid}/stat")).ok()?).filter(|parent| *parent > 1)?;
        let place = located(pid);
        if place.as_ref().is_none_or(|place| place.id != id) {
            return Some(EngineProcess { pid, place });
        }
    }
    None
}

/// The parent in a `/proc/PID/stat`. A name can have parentheses and spaces.
fn parent(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(found.map(|engine| engine.pid), above);
        assert_eq!(engine(i32::MAX, ""), None);
    }
}
