//! Events to connections: what was lost where, sent again how often, and whether it got through in
//! the end.
//!
//! A packet is shown to one direction of one connection, which takes it in (`packets`); `attach` finds
//! which. What sockets tell goes the same way (`progress`).
//!
//! Pure: no clock and no I/O. Time is the events' time, and the same events give the same state.

pub(crate) mod attach;
pub(crate) mod connection;
pub(crate) mod direction;
mod gone;
pub(crate) mod index;
pub(crate) mod packets;
pub(crate) mod progress;
pub(crate) mod repeats;
pub(crate) mod seq_match;
pub(crate) mod state;
pub(crate) mod way_out;
pub(crate) mod wireguard_match;
pub use connection::{Connection, Side, TrackedSocket};
pub use direction::{Blocked, Icmp, OtherDrops, OtherKey, PmtuAccepted, SiteDrops, Track};
pub use repeats::{Open, Recovery, after};
pub use seq_match::{BY_ADDRESSES, CLOSE, belongs};
pub use state::{ConnectionId, State};
pub use way_out::{Lack, Outage};
