//! Remembers what engines call containers, so that each is looked for once and not at every look.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::{fs, process};

use crate::host::identity::engine::Named;
use crate::host::identity::rooted::Root;
use crate::host::identity::{engine, mounted};

/// How long a container that no engine knew is not looked for again, ns. An engine writes down a
/// name before it starts a container, but not all of them do.
const AGAIN_NS: u64 = 2_000_000_000;
/// Containers remembered at most; those of a busy builder come and go by the hundred.
const MOST: usize = 4096;
/// The process whose root is the host's.
const HOST: i32 = 1;

/// Where to look for what is known of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// A process of the container.
    pub process: Option<i32>,
    /// A process of the engine that made it.
    pub engine: Option<i32>,
    /// A process of the container in which that engine runs; `None` for one on the host.
    pub outer: Option<i32>,
}

impl Whereabouts {
    fn look(&self, id: &str) -> Option<Named> {
        let mounts = |pid: i32| fs::read(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let container = self.process.map(mounts).unwrap_or_default();
        // Some hosts let nobody look at the first process: then what this process sees has to do.
        let own = i32::try_from(process::id()).ok();
        let host = [Some(HOST), own].map(|pid| pid.filter(|_| self.outer.is_none()));
        let places = [self.engine, self.outer].into_iter().chain(host).flatten();
        // One look at each view of files, however many processes have it.
        let mut seen = HashSet::new();
        places.into_iter().find_map(|pid| {
            if view(pid).is_some_and(|view| !seen.insert(view)) {
                return None;
            }
            let root = Root::of(pid).ok()?;
            let directories = mounted::directories(id, &container, &root.mounts);
            engine::look(&root, id, &directories)
        })
    }
}

/// What tells one view of files from another: its mounts, and where its root is.
fn view(pid: i32) -> Option<(PathBuf, u64, u64)> {
    let root = fs::metadata(format!("/proc/{pid}/root")).ok()?;
    let mounts = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?;
    Some((mounts, root.dev(), root.ino()))
}

/// What engines call containers, and when those were looked for that none knew, by identifier.
#[derive(Debug, Default)]
pub struct ContainerNames {
    known: HashMap<String, Named>,
    missed: HashMap<String, u64>,
}

impl ContainerNames {
    /// What the engine calls a container.
    pub fn find(&mut self, id: &str, at: &Whereabouts, now_ns: u64) -> Option<&Named> {
        if !self.known.contains_key(id) {
            let missed = self.missed.get(id);
            if missed.is_some_and(|missed_ns| now_ns.saturating_sub(*missed_ns) < AGAIN_NS) {
                return None;
            }
            match at.look(id) {
                Some(named) => {
                    self.missed.remove(id);
                    remember(&mut self.known, id, named);
                }
                None => remember(&mut self.missed, id, now_ns),
            }
        }
        self.known.get(id)
    }
}

fn remember<T>(all: &mut HashMap<String, T>, id: &str, what: T) {
    if all.len() >= MOST {
        all.clear();
    }
    all.insert(id.to_owned(), what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_left_alone_for_a_while() {
        let mut names = ContainerNames::default();
        let host = Whereabouts::default();
        let id = "0".repeat(64);
        assert_eq!(names.find(&id, &host, 1), None);
        names.known.insert("x".to_owned(), Named::default());
        assert!(names.find("x", &host, 2).is_some());
        assert_eq!(names.missed.get(&id), Some(&1));
        assert_eq!(names.find(&id, &host, AGAIN_NS), None);
        assert_eq!(names.missed.get(&id), Some(&1));
        assert_eq!(names.find(&id, &host, AGAIN_NS + 1), None);
        assert_eq!(names.missed.get(&id), Some(&(AGAIN_NS + 1)));
        // A process that is gone has no root.
        let gone = Whereabouts {
            outer: Some(i32::MAX),
            ..host
        };
        assert_eq!(names.find("y", &gone, 1), None);
    }
}
