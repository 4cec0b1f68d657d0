//! Events to connections: what was lost where, told again how often, and whether it got through in
//! the end.
//!
//! Pure: no clock and no I/O. Time is the events' time, and the same events give the same state.

mod connection;
mod ends;
mod fallen;
mod flows;
mod hash;
mod index;
mod join;
mod packets;
mod progress;
mod rare;
mod repeats;
mod sealed;
mod site;
mod state;
mod track;

pub use connection::{Connection, End, Side};
pub use flows::Flows;
pub use join::{BY_ADDRESSES, CLOSE, belongs};
pub use rare::Rare;
pub use repeats::{Open, Recovery, Repeats, after};
pub use site::{Hook, Site, SiteKey, SiteKind, netfilter_hook, oversized};
pub use state::{ConnectionId, State};
pub use track::{
    Blocked, Heeded, Icmp, OtherDrops, OtherKey, Retransmits, SiteDrops, Track, Waits,
};
