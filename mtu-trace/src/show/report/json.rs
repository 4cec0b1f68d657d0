//! The report for programs.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::model::finding::Finding;
use crate::show::report::{Audited, Capture, FormatDefinition, Report, SCHEMA};

/// The report as one object.
pub static FORMAT: FormatDefinition = FormatDefinition {
    name: "json",
    help: "One JSON object",
    write: |report, to, _| write(report, to),
};

/// One object for the capture, and one for each finding.
pub static LINES: FormatDefinition = FormatDefinition {
    name: "ndjson",
    help: "One JSON object a line: the capture, then each finding",
    write: |report, to, _| write_lines(report, to),
};

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    capture: &'a Capture,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<&'a Audited>,
    findings: Vec<DatedFinding<'a>>,
}

#[derive(Serialize)]
struct DatedFinding<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    first_seen: Timestamp,
    detected_at: Timestamp,
    last_seen: Timestamp,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum JsonLine<'a> {
    Capture {
        schema: &'static str,
        #[serde(flatten)]
        capture: &'a Capture,
    },
    Finding(DatedFinding<'a>),
}

fn dated(report: &Report) -> impl Iterator<Item = DatedFinding<'_>> {
    let Report {
        findings, clock, ..
    } = report;
    findings.iter().map(|finding| DatedFinding {
        finding,
        first_seen: clock.wall(finding.first_seen_ns),
        detected_at: clock.wall(finding.detected_at_ns),
        last_seen: clock.wall(finding.last_seen_ns),
    })
}

fn write(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    let document = Document {
        schema: SCHEMA,
        capture: &report.capture,
        audit: report.audit.as_ref(),
        findings: dated(report).collect(),
    };
    serde_json::to_writer_pretty(&mut *to, &document)?;
    writeln!(to)
}

fn write_lines(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    let (schema, capture) = (SCHEMA, &report.capture);
    let capture = JsonLine::Capture { schema, capture };
    let findings = dated(report).map(JsonLine::Finding);
    for line in std::iter::once(capture).chain(findings) {
        serde_json::to_writer(&mut *to, &line)?;
        writeln!(to)?;
    }
    Ok(())
}
