//! What of a trace is shown: the options `--netns`, `--container`, `--pid` and the filter expression,
//! with one meaning for every command.
//!
//! A selection never decides what is traced or how it is joined. A drop in the host's namespace that
//! explains a container's stall is evidence whatever the user asked for; so the choice is made among
//! connections that are complete with all that was found of them, where findings are put together and
//! events are written out. Pure: [`Selection::live`] is given what finds the namespace of a file.

pub(crate) mod expression;
pub(crate) mod matching;
pub(crate) mod parser;
pub(crate) mod scope;
pub(crate) mod targets;
#[cfg(test)]
mod tests;

pub use crate::core::select::expression::Filter;
pub use crate::core::select::matching::Subject;
pub use crate::core::select::parser::FilterError;
pub use crate::core::select::scope::{Scope, SelectError, Selected, Selection};
