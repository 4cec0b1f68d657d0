//! Values that most connections do not have, and should not pay for.

use std::ops::Deref;
use std::sync::LazyLock;

use crate::core::track::direction::Track;
use crate::core::track::repeats::Repeats;

/// A value that takes room from its first change on. Until then it reads as its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LazyBox<T>(Option<Box<T>>);

/// A type whose default can be borrowed by all that have no value of their own.
pub trait StaticDefault: Default + 'static {
    /// Borrows what stands for an empty one.
    fn static_default() -> &'static Self;
}

impl StaticDefault for Track {
    fn static_default() -> &'static Self {
        static BLANK: LazyLock<Track> = LazyLock::new(Track::default);
        &BLANK
    }
}

impl StaticDefault for Repeats {
    fn static_default() -> &'static Self {
        static BLANK: LazyLock<Repeats> = LazyLock::new(Repeats::default);
        &BLANK
    }
}

impl<T: Default> LazyBox<T> {
    /// Whether the value was ever changed.
    pub(crate) fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// The value, to be changed; `None` if it never was.
    pub(crate) fn known_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// The value, to be changed, made if it never was.
    pub(crate) fn make(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// The value alone; `None` if it was never changed.
    pub(crate) fn into_known(self) -> Option<T> {
        self.0.map(|it| *it)
    }
}

impl<T: StaticDefault> Deref for LazyBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or_else(|| T::static_default())
    }
}
