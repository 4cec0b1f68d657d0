//! State to findings: which rule fits a connection, what caused it, what to do about it.
//!
//! Pure: no clock and no I/O. Rules are functions in a table; the first that fits a direction of a
//! connection decides, and directions with one cause become one finding.

mod assemble;
mod boundary;
mod catalogue;
mod current;
mod evidence;
mod finding;
mod fixes;
mod foresee;
mod judged;
mod ledger;
mod local;
mod quote;
pub mod remedy;
mod rules;
mod selection;
mod summary;
mod who;

pub use catalogue::{Entry, entry};
pub use current::{Current, Head};
pub use finding::{
    BlockedAt, Boundary, BoundaryPeer, Confidence, Connection, ContainerRef, Direction, Endpoint,
    Evidence, Finding, Fix, GuestRef, Hop, NetnsRef, Pmtud, ProcessRef, Severity, Verdict,
};
pub use ledger::{Analysis, Made};
pub(crate) use quote::quote;
pub use rules::{RULES, Rule};
