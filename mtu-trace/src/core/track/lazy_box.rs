//! What most connections do not have, and should not pay for.

use std::{ops::Deref, sync::LazyLock};

use crate::core::track::{direction::Track, repeats::Repeats};

/// A value that takes room from its first change on. Until then it reads as its default.
#[derive(Clone, Debug)]
pub struct Rare<T>(Option<Box<T>>);

/// What has a default that all that have nothing can show.
pub trait Blank: Default + 'static {
    /// It.
    fn blank() -> &'static Self;
}

impl Blank for Track {
    fn blank() -> &'static Self {
        static BLANK: LazyLock<Track> = LazyLock::new(Track::default);
        &BLANK
    }
}

impl Blank for Repeats {
    fn blank() -> &'static Self {
        static BLANK: LazyLock<Repeats> = LazyLock::new(Repeats::default);
        &BLANK
    }
}

impl<T> Rare<T> {
    /// Whether it was ever changed.
    pub(crate) fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// It, if it was ever changed.
    pub(crate) fn known_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// It, to be changed.
    pub(crate) fn make(&mut self) -> &mut T
    where
        T: Default,
    {
        self.0.get_or_insert_default()
    }

    /// It alone, if it was ever changed.
    pub(crate) fn into_known(self) -> Option<T> {
        self.0.map(|it| *it)
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Blank> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(it) => it,
            None => T::blank(),
        }
    }
}

impl<T: Blank + PartialEq> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
