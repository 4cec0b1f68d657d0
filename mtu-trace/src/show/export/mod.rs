//! The events of a capture, for other programs. A form is a file with all that the commands need to
//! know of it, and a row of [`EXPORTS`].

pub(crate) mod csv;
pub(crate) mod json;

use std::io::{self, Write};
use std::sync::Arc;

pub use csv::CsvRow;
pub use json::ExportedEvent;

use crate::base::clock::Clock;
use crate::base::row::row;
use crate::model::event::Event;
use crate::model::network::Topology;
use crate::show::report::Capture;

/// Every form, in the order in which the help lists them.
pub const EXPORTS: &[ExportFormat] = &[
    ExportFormat(&json::EXPORT),
    ExportFormat(&json::LINES),
    ExportFormat(&csv::EXPORT),
];

/// All that the commands need to know of a form.
pub struct ExportDefinition {
    /// What `--format` calls it.
    pub name: &'static str,
    /// What the help says of it.
    pub help: &'static str,
    /// Writes the events in it.
    pub write: fn(&mut Events<'_>, &mut dyn Write) -> io::Result<()>,
}

/// The events that are exported.
pub struct Events<'a> {
    /// What they were recorded of.
    pub capture: &'a Capture,
    /// The clock of their times.
    pub clock: Clock,
    /// The next event, with the network as it is then; `None` at the end.
    pub next: &'a mut dyn FnMut() -> Option<(Event, Arc<Topology>)>,
}

row!(
    /// A form of `EXPORTS`.
    ExportFormat of ExportDefinition, values EXPORTS
);

impl ExportFormat {
    /// Writes events in this form.
    pub fn write(self, events: &mut Events<'_>, to: &mut dyn Write) -> io::Result<()> {
        (self.0.write)(events, to)
    }
}
