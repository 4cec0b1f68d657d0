//! `report`: what a capture says.

use anyhow::Result;

use crate::{
    cli::{ColorChoice, ReportOptions},
    commands::{FOUND, output, replayed},
    model::finding::Severity,
};

/// Runs the command; gives the exit status.
pub fn run(options: &ReportOptions, color: ColorChoice) -> Result<u8> {
    let report = replayed::analyse(&options.file, options.selection.recorded()?)?;
    output::print(&report, options.format, color)?;
    let found = report
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    Ok(if options.exit_code && found { FOUND } else { 0 })
}
