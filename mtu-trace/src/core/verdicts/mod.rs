//! State to findings: which verdict fits a connection, what caused it, what to do about it.
//!
//! Pure: no clock and no I/O. Of each direction of a connection `facts` says what is known;
//! the first case of the `table` whose facts hold decides. The verdicts of all connections are kept in
//! `verdict_index`, where directions with one cause become one finding; `analysis` tells it from the
//! `worst` of them.

pub(crate) mod analysis;
pub(crate) mod cause;
pub(crate) mod drop_reason;
pub(crate) mod evidence;
pub(crate) mod facts;
pub(crate) mod local_end;
pub(crate) mod message_end;
pub(crate) mod remedy;
pub(crate) mod sentence;
pub(crate) mod table;
pub(crate) mod trouble;
pub(crate) mod verdict_index;
pub(crate) mod way_back;
pub(crate) mod worst;
pub use analysis::{Analysis, Current, FindingHead, Made};
pub use table::{entry, page};
pub use verdict_index::Key;
