//! The report for people:
//!
//! ```text
//! mtu-trace 0.1.0 on node-1, kernel 6.18.44: 4.0 s, 6 of 6 hooks, 73 events, 0 lost
//!
//! F1 ERROR mtu-black-hole (confirmed, ongoing)
//!   builder's download from 198.51.100.9:80 is stalled: …
//!
//!   connection  …
//!   boundary    …
//!   icmp        …
//!   path        …
//!   evidence    …
//!   fix 1       …
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Write};

use crate::base::text::wrap;
use crate::model::finding::{Finding, Fix};
use crate::model::hook_status::HookStatus;
use crate::show::report::lines::{
    audit_lines, boundary_line, connection_lines, container_lines, evidence_lines, nothing,
    path_lines, pmtud_line,
};
use crate::show::report::style::Style;
use crate::show::report::{Audited, FormatDefinition, Report};

/// The fixes that were told in full, and where.
type Told<'a> = HashMap<&'a Fix, String>;

/// Column at which the parts' contents begin.
const INDENT: usize = 14;

/// The report as text.
pub static FORMAT: FormatDefinition = FormatDefinition {
    name: "text",
    help: "For people",
    write,
};

/// Writes the whole report.
fn write(report: &Report, to: &mut dyn Write, style: &Style) -> io::Result<()> {
    match &report.audit {
        Some(audit) => audit_header(report, audit, to, style)?,
        None => header(report, to, style)?,
    }
    if report.findings.is_empty() {
        writeln!(to)?;
        writeln!(to, "{}", nothing(report))?;
    }
    let mut told = HashMap::new();
    for finding in &report.findings {
        writeln!(to)?;
        write_finding(report, finding, &mut told, to, style)?;
    }
    Ok(())
}

fn header(report: &Report, to: &mut dyn Write, style: &Style) -> io::Result<()> {
    let capture = &report.capture;
    let lost = format!("{} lost", capture.lost_events);
    writeln!(
        to,
        "{} on {}, kernel {}: {:.1} s, {}, {} events, {}",
        style.strong(&format!("mtu-trace {}", capture.tool_version)),
        capture.hostname,
        capture.kernel,
        capture.duration_s,
        HookStatus::tally(&capture.hooks),
        capture.events,
        if capture.lost_events > 0 {
            style.fault(&lost)
        } else {
            lost
        },
    )?;
    if let Some(selected) = &capture.selection {
        for line in wrap(&selected.to_string(), style.width) {
            writeln!(to, "{line}")?;
        }
    }
    for missed in HookStatus::missed(&capture.hooks) {
        for line in wrap(&missed, style.width) {
            writeln!(to, "{}", style.faint(&line))?;
        }
    }
    for line in capture
        .notes
        .iter()
        .flat_map(|note| wrap(note, style.width))
    {
        writeln!(to, "{}", style.fault(&line))?;
    }
    Ok(())
}

fn audit_header(
    report: &Report,
    audit: &Audited,
    to: &mut dyn Write,
    style: &Style,
) -> io::Result<()> {
    let figures = &audit.figures;
    writeln!(
        to,
        "{} on {}, kernel {}: {} namespaces, {} links, {} ways, packet filters of {} read{}",
        style.strong(&format!("mtu-trace {}", report.capture.tool_version)),
        report.capture.hostname,
        report.capture.kernel,
        figures.namespaces,
        figures.links,
        figures.ways,
        audit.firewalls,
        match figures.foreseen {
            0 => String::new(),
            1 => ", 1 container foreseen".to_owned(),
            many => format!(", {many} containers foreseen"),
        },
    )?;
    for what in &audit.missing {
        for line in wrap(what, style.width) {
            writeln!(to, "{}", style.faint(&line))?;
        }
    }
    Ok(())
}

fn write_finding<'a>(
    report: &Report,
    finding: &'a Finding,
    told: &mut Told<'a>,
    to: &mut dyn Write,
    style: &Style,
) -> io::Result<()> {
    writeln!(
        to,
        "{} {} {} ({}{})",
        style.strong(&finding.id),
        style.severity(finding.severity),
        style.strong(finding.verdict.name()),
        finding.confidence.name(),
        if finding.ongoing { ", ongoing" } else { "" },
    )?;
    for line in wrap(&finding.summary, style.width.saturating_sub(2)) {
        writeln!(to, "  {line}")?;
    }
    writeln!(to)?;
    if let Some(connection) = &finding.connection {
        part(
            to,
            style,
            "connection",
            &connection_lines(finding, connection),
        )?;
    }
    part(to, style, "container", &container_lines(finding))?;
    if let Some(boundary) = &finding.boundary {
        part(to, style, "boundary", &[boundary_line(boundary)])?;
        if let Some(pmtud) = &finding.pmtud
            && report.audit.is_none()
        {
            part(to, style, "icmp", &[pmtud_line(finding, boundary, pmtud)])?;
        }
    }
    part(to, style, "path", &path_lines(finding, style))?;
    let evidence = match &report.audit {
        Some(_) => audit_lines(finding),
        None => evidence_lines(&report.clock, finding),
    };
    part(to, style, "evidence", &evidence)?;
    for (number, fix) in (1..).zip(&finding.fixes) {
        match told.entry(fix) {
            Entry::Occupied(before) => {
                let line = format!("{} (fix {})", style.strong(&fix.title), before.get());
                write_part(to, style, &format!("fix {number}"), &[line])?;
            }
            Entry::Vacant(new) => {
                new.insert(format!("{number} of {}", finding.id));
                write_fix(number, fix, to, style)?;
            }
        }
    }
    Ok(())
}

fn write_fix(number: usize, fix: &Fix, to: &mut dyn Write, style: &Style) -> io::Result<()> {
    let width = style.width.saturating_sub(INDENT);
    let mut lines: Vec<String> = wrap(&fix.title, width)
        .iter()
        .map(|line| style.strong(line))
        .collect();
    lines.extend(wrap(&fix.detail, width));
    lines.extend(
        fix.commands
            .iter()
            .map(|command| style.command(&format!("# {command}"))),
    );
    write_part(to, style, &format!("fix {number}"), &lines)
}

/// A part with its lines wrapped.
fn part(to: &mut dyn Write, style: &Style, label: &str, lines: &[String]) -> io::Result<()> {
    let width = style.width.saturating_sub(INDENT);
    // Painted lines and those of tables keep their form.
    let wrapped: Vec<String> = lines
        .iter()
        .flat_map(|line| {
            if line.chars().count() <= width || line.contains('\u{1b}') {
                vec![line.clone()]
            } else {
                wrap(line, width)
            }
        })
        .collect();
    write_part(to, style, label, &wrapped)
}

fn write_part(to: &mut dyn Write, style: &Style, label: &str, lines: &[String]) -> io::Result<()> {
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let gap = " ".repeat(INDENT - 2 - label.len().min(INDENT - 2));
        writeln!(to, "  {}{gap}{line}", style.label(label))?;
    }
    Ok(())
}
