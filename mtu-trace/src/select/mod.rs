//! What of a trace is shown: the options `--netns`, `--container`, `--pid` and the filter expression,
//! with one meaning for every command.
//!
//! A selection never decides what is traced or how it is joined. A drop in the host's namespace that
//! explains a container's stall is evidence whatever the user asked for; so the choice is made among
//! connections that are complete with all that was found of them, where findings are put together and
//! events are written out. Pure, but for [`Selection::live`], which looks up files and processes.

mod arguments;
mod expression;
mod matching;
mod parser;
mod roll;
mod scope;
mod targets;
#[cfg(test)]
mod tests;
mod words;

pub use arguments::Selection;
pub use expression::Filter;
pub use matching::Subject;
pub use scope::{Scope, SelectError, Selected};
pub use targets::TargetError;
pub use words::FilterError;
