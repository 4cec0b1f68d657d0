//! Findings for people and for programs.

pub(crate) mod events;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod markdown;
pub(crate) mod style;
pub(crate) mod text;
use std::io::{self, Write};

pub use events::{Dated, Recording, Row, path_mtu};
use jiff::Timestamp;
pub(crate) use lines::{connection_lines, container_lines, evidence_lines, pmtud_line};
use serde::Serialize;
pub use style::Style;

use crate::{
    base::clock::Clock,
    core::{audit::Figures, select::Selected},
    model::{finding::Finding, hook_status::HookStatus},
};

/// The name and version of the JSON form. Keys may be added to it, never changed in meaning.
pub const SCHEMA: &str = "mtu-trace/report/1";

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// One JSON object a line: the capture, then each finding.
    Ndjson,
    /// For issues, merge requests and job summaries.
    Markdown,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capture {
    /// When it began.
    pub started: Timestamp,
    /// How long it took, s.
    pub duration_s: f64,
    /// Kernel release.
    pub kernel: String,
    /// Host name.
    pub hostname: String,
    /// Version of this tool.
    pub tool_version: String,
    /// What the findings were selected by; the events are all there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selected>,
    /// What became of each hook.
    pub hooks: Vec<HookStatus>,
    /// Events seen.
    pub events: u64,
    /// Records of our own that were lost.
    pub lost_events: u64,
    /// What is wrong with the file that this was read from, and what had to be forgotten, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The whole report.
pub struct Report {
    /// What was recorded.
    pub capture: Capture,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// The clock of the findings' times.
    pub clock: Clock,
    /// What was looked at, if that was not traffic but the network itself.
    pub audit: Option<Audited>,
}

/// What an audit has looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// How much.
    #[serde(flatten)]
    pub figures: Figures,
    /// Namespaces whose packet filter rules were read.
    pub firewalls: usize,
    /// What could not be looked at, in words.
    pub missing: Vec<String>,
}

impl Report {
    /// Writes the report.
    ///
    /// # Errors
    ///
    /// Whatever the writer says.
    pub fn write(&self, to: &mut impl Write, format: Format, style: &Style) -> io::Result<()> {
        match format {
            Format::Text => text::write(self, to, style),
            Format::Json => json::write(self, to),
            Format::Ndjson => json::write_lines(self, to),
            Format::Markdown => markdown::write(self, to),
        }
    }
}
