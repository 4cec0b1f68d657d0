//! The network as a graph: how packets get from one link to another, and how long they may be.

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod limits;
pub(crate) mod networks;
pub(crate) mod path;
pub(crate) mod role;
pub(crate) mod route;
pub(crate) mod segment;
pub(crate) mod tunnel;
pub(crate) mod walk;

pub use limits::Limits;
pub use networks::Networks;
pub use path::Hop;
pub use route::{Decision, Destination, example, lookup};
pub use segment::{Segments, living};
pub use tunnel::Tunnels;
pub use walk::{Leg, Path, Walker};
