//! Remembers what engines call containers, so that each is looked for once and not at every look.

use std::collections::HashMap;

use super::{
    engine::{self, Named},
    rooted::Root,
};

/// How long a container that no engine knew is not looked for again, ns. An engine writes down a
/// name before it starts a container, but not all of them do.
const AGAIN_NS: u64 = 2_000_000_000;
/// Containers remembered at most; those of a busy builder come and go by the hundred.
const MOST: usize = 4096;
/// The process whose root is the host's.
const HOST: i32 = 1;

/// Names by container identifier.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<String, Named>,
    missed: HashMap<String, u64>,
}

impl Names {
    /// What the engine calls a container. `engine` is a process of the container in which that
    /// engine runs, `None` for one on the host.
    pub fn find(&mut self, id: &str, engine: Option<i32>, now_ns: u64) -> Option<&Named> {
        if !self.known.contains_key(id) {
            let missed = self.missed.get(id);
            if missed.is_some_and(|missed_ns| now_ns.saturating_sub(*missed_ns) < AGAIN_NS) {
                return None;
            }
            let found = Root::of(engine.unwrap_or(HOST))
                .ok()
                .and_then(|root| engine::look(&root, id));
            match found {
                Some(named) => {
                    self.missed.remove(id);
                    if self.known.len() >= MOST {
                        self.known.clear();
                    }
                    self.known.insert(id.to_owned(), named);
                }
                None => {
                    if self.missed.len() >= MOST {
                        self.missed.clear();
                    }
                    self.missed.insert(id.to_owned(), now_ns);
                }
            }
        }
        self.known.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_left_alone_for_a_while() {
        let mut names = Names::default();
        let id = "0".repeat(64);
        assert_eq!(names.find(&id, None, 1), None);
        names.known.insert("x".to_owned(), Named::default());
        assert!(names.find("x", None, 2).is_some());
        assert_eq!(names.missed.get(&id), Some(&1));
        assert_eq!(names.find(&id, None, AGAIN_NS), None);
        assert_eq!(names.missed.get(&id), Some(&1));
        assert_eq!(names.find(&id, None, AGAIN_NS + 1), None);
        assert_eq!(names.missed.get(&id), Some(&(AGAIN_NS + 1)));
        // A process that is gone has no root.
        assert_eq!(names.find("y", Some(i32::MAX), 1), None);
    }
}
