//! The two directions of a connection, and what is kept of each.

use std::ops::{Deref, Index, IndexMut};

use crate::core::track::connection::TrackedSocket;

/// Which way data goes, seen from the first socket that was known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Sent by the first socket.
    Out,
    /// Sent to the first socket.
    In,
}

impl Side {
    /// Both directions, in the order in which they are judged.
    pub const BOTH: [Self; 2] = [Self::Out, Self::In];

    /// The direction that goes the other way.
    #[must_use]
    pub fn flip(self) -> Self {
        match self {
            Self::Out => Self::In,
            Self::In => Self::Out,
        }
    }
}

/// One value for each direction, that of [`Side::Out`] first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BySide<T>(pub [T; 2]);

impl<T> Index<Side> for BySide<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        &self.0[side as usize]
    }
}

impl<T> IndexMut<Side> for BySide<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        &mut self.0[side as usize]
    }
}

/// The sockets of a connection that are on this host: none where only its packets are known, two where
/// both ends are here. A list, because most connections have one, and a socket takes much room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ends(Vec<TrackedSocket>);

impl Ends {
    /// The socket that sends in a direction; `None` if it is not on this host.
    #[must_use]
    pub fn get(&self, side: Side) -> Option<&TrackedSocket> {
        self.0.get(side as usize)
    }

    /// The socket that sends in a direction, to be changed.
    pub(crate) fn get_mut(&mut self, side: Side) -> Option<&mut TrackedSocket> {
        self.0.get_mut(side as usize)
    }

    /// The sockets with the directions in which they send.
    pub fn by_side(&self) -> impl DoubleEndedIterator<Item = (Side, &TrackedSocket)> {
        Side::BOTH.into_iter().zip(self.iter())
    }

    /// Adds a socket after those that are known, of which there is one at most.
    pub(crate) fn push(&mut self, socket: TrackedSocket) {
        self.0.reserve_exact(1);
        self.0.push(socket);
    }

    /// Takes the socket that was added last.
    pub(crate) fn pop(&mut self) -> Option<TrackedSocket> {
        self.0.pop()
    }
}

impl Deref for Ends {
    type Target = [TrackedSocket];

    fn deref(&self) -> &[TrackedSocket] {
        &self.0
    }
}
