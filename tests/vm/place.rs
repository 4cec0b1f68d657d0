//! Where the scenarios run.

use std::iter;

use lab::machine::kernels::{KERNELS, Wanted};
use lab::suites;

/// A kernel, and how the scenarios come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the kernel that runs here.
    Host,
    /// In a virtual machine.
    Machine(&'static Wanted),
}

impl Place {
    /// The user's name for the kernel.
    pub const HOST: &'static str = suites::HOST;

    /// The places called `names`, all if empty.
    pub fn chosen(names: &[String]) -> Vec<Self> {
        let all = iter::once(Self::Host).chain(KERNELS.iter().map(Self::Machine));
        if names.is_empty() {
            return all.collect();
        }
        let called = |name: &String| all.clone().find(|place| place.name() == name);
        names.iter().filter_map(called).collect()
    }

    /// The user's name for its kernel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => Self::HOST,
            Self::Machine(wanted) => wanted.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use lab::machine::kernels::KERNELS;

    use super::Place;

    #[test]
    fn all_are_meant_unless_some_are_named() {
        let all: Vec<&str> = Place::chosen(&[]).iter().map(|it| it.name()).collect();
        assert_eq!(all, lab::suites::KERNELS);
        let two = Place::chosen(&["6.12".to_owned(), "host".to_owned()]);
        assert_eq!(two, [Place::Machine(&KERNELS[2]), Place::Host]);
    }
}
