//! State to findings: which rule fits a connection, what caused it, what to do about it.
//!
//! Pure: no clock and no I/O. Rules are functions in a table; the first that fits a direction of a
//! connection decides, and directions with one cause become one finding.

pub(crate) mod analysis;
pub(crate) mod assemble;
pub(crate) mod boundary;
pub(crate) mod catalogue;
pub(crate) mod current;
pub(crate) mod evidence;
pub(crate) mod fixes;
pub(crate) mod local;
pub(crate) mod predicted;
pub(crate) mod remedy;
pub(crate) mod rules;
pub(crate) mod selection;
pub(crate) mod summary;
pub(crate) mod verdict_index;
pub use analysis::{Analysis, Made};
pub use catalogue::{Entry, entry};
pub use current::{Current, Head};
