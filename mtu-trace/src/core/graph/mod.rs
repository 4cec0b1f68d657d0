//! The network as a graph: how packets get from one link to another, and how long they may be.
//!
//! There is one [`TopologyIndex`] for each topology. It knows which links are next to which
//! ([`Adjacency`]), and all walks go by it, each part found when it is first asked for. They differ in:
//!
//! | walk | goes over | [`Passable`] | ends |
//! |---|---|---|---|
//! | [`TopologyIndex::path`] | all of it both ways, and from link to link of a namespace that forwards | `Up`, and `Any` where that leads nowhere | at the nearest link that is wanted |
//! | [`Segments`] | all at layer 2 both ways; from a tunnel to its other end, not to what it is on | `Up` | with the last link |
//! | [`TopologyIndex::paths`] | segments, and between them by routes | `Up` | after `MOST_LEGS`, `MOST_STEPS`, `MOST_PATHS` |
//! | [`TopologyIndex::limits`] | down only: to ports, to the other end of a veth, to what a device is on | ports `Up`, the rest `Any` | at tunnels, after `MAX_DEPTH` |
//! | [`Networks`] | namespaces: other ends and what devices and tunnels are on | `Any` | with the last namespace |
//!
//! None looks at VLAN identifiers: a VLAN is a device on another one. All are pure.

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod index;
pub(crate) mod limits;
pub(crate) mod neighbours;
pub(crate) mod networks;
pub(crate) mod path;
pub(crate) mod route;
pub(crate) mod segment;
pub(crate) mod tunnel;
pub(crate) mod walk;

pub use index::TopologyIndex;
pub use neighbours::{Adjacency, Neighbours, Passable};
pub use networks::Networks;
pub use route::{Decision, Destination, contains, example, lookup, router_limit};
pub use segment::Segments;
pub use tunnel::{Tunnels, tunnel_room};
pub use walk::{Leg, Path};
