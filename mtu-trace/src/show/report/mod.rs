//! Findings for people and for programs.

pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod markdown;
pub(crate) mod style;
pub(crate) mod text;
use std::io::{self, Write};

use jiff::Timestamp;
pub(crate) use lines::{connection_lines, container_lines, drop_lines, evidence_lines, pmtud_line};
use serde::Serialize;
pub use style::Style;

use crate::base::clock::Clock;
use crate::base::row::row;
use crate::core::audit::Figures;
use crate::core::select::Selected;
use crate::model::finding::Finding;
use crate::model::hook_status::HookStatus;
use crate::model::store::Evictions;

/// The name and version of the JSON form. Keys may be added to it, never changed in meaning.
pub const SCHEMA: &str = "mtu-trace/report/1";

/// Every form of the report, in the order in which the help lists them.
pub const FORMATS: &[Format] = &[Format::TEXT, Format::JSON, Format::LINES, Format::MARKDOWN];

/// All that the commands need to know of a form of the report.
pub struct FormatDefinition {
    /// What `--format` calls it.
    pub name: &'static str,
    /// What the help says of it.
    pub help: &'static str,
    /// Writes the report in it.
    pub write: fn(&Report, &mut dyn Write, &Style) -> io::Result<()>,
}

row!(
    /// A form of `FORMATS`.
    Format of FormatDefinition, values FORMATS
);

impl Format {
    /// The form for people.
    pub const TEXT: Self = Self(&text::FORMAT);
    /// The form for programs.
    pub const JSON: Self = Self(&json::FORMAT);
    /// The form for programs that read line by line.
    pub const LINES: Self = Self(&json::LINES);
    /// The form for issues and merge requests.
    pub const MARKDOWN: Self = Self(&markdown::FORMAT);
}

/// What was recorded, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capture {
    /// When the recording began.
    pub started: Timestamp,
    /// How long it took, s.
    pub duration_s: f64,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// Name of the host it was recorded on.
    pub hostname: String,
    /// Version of this tool.
    pub tool_version: String,
    /// What the findings were selected by; the events are all there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selected>,
    /// What became of each hook.
    pub hooks: Vec<HookStatus>,
    /// Number of events seen.
    pub events: u64,
    /// Records of our own that were lost.
    pub lost_events: u64,
    /// What had to be forgotten, by store; left out if nothing was.
    #[serde(skip_serializing_if = "Evictions::is_none")]
    pub evictions: Evictions,
    /// What is wrong with the file that this was read from, and what had to be forgotten, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// All that a report has to say.
pub struct Report {
    /// What was recorded, and how.
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
    /// How much was looked at.
    #[serde(flatten)]
    pub figures: Figures,
    /// Namespaces whose packet filter rules were read.
    pub firewalls: usize,
    /// What could not be looked at, in words.
    pub missing: Vec<String>,
}

impl Report {
    /// Writes the report in one of its forms.
    pub fn write(&self, to: &mut dyn Write, format: Format, style: &Style) -> io::Result<()> {
        (format.0.write)(self, to, style)
    }
}
