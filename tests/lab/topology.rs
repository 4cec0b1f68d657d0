//! Networks with a place for a fault, as functions of what may be wrong in them.

mod nested;
mod switched;

pub use nested::{Nested, NestedLab};
pub use switched::{Switched, SwitchedLab};
