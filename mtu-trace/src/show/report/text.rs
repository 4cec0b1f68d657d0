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
use crate::show::report::lines::{about, audit_lines, evidence_lines, nothing, path_lines};
use crate::show::report::style::Style;
use crate::show::report::{Audited, FormatDefinition, Report};

/// Column at which the parts' contents begin.
const INDENT: usize = 14;

/// The report as text.
pub static FORMAT: FormatDefinition = FormatDefinition {
    name: "text",
    help: "For people",
    write,
};

fn write(report: &Report, to: &mut dyn Write, style: &Style) -> io::Result<()> {
    let told = HashMap::new();
    let mut text = TextReport {
        report,
        style,
        to,
        told,
    };
    match &report.audit {
        Some(audit) => text.audit_header(audit)?,
        None => text.header()?,
    }
    if report.findings.is_empty() {
        writeln!(text.to, "\n{}", nothing(report))?;
    }
    for finding in &report.findings {
        text.finding(finding)?;
    }
    Ok(())
}

/// A report that is being written.
struct TextReport<'a> {
    report: &'a Report,
    style: &'a Style,
    to: &'a mut dyn Write,
    /// The fixes that were told in full, and where.
    told: HashMap<&'a Fix, String>,
}

impl<'a> TextReport<'a> {
    fn header(&mut self) -> io::Result<()> {
        let (capture, style) = (&self.report.capture, self.style);
        let lost = format!("{} lost", capture.lost_events);
        writeln!(
            self.to,
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
            self.paragraph(&selected.to_string(), |_, line| line.to_owned())?;
        }
        for missed in HookStatus::missed(&capture.hooks) {
            self.paragraph(&missed, Style::faint)?;
        }
        for note in &capture.notes {
            self.paragraph(note, Style::fault)?;
        }
        Ok(())
    }

    fn audit_header(&mut self, audit: &Audited) -> io::Result<()> {
        let (capture, figures) = (&self.report.capture, &audit.figures);
        writeln!(
            self.to,
            "{} on {}, kernel {}: {} namespaces, {} links, {} ways, packet filters of {} read{}",
            self.style
                .strong(&format!("mtu-trace {}", capture.tool_version)),
            capture.hostname,
            capture.kernel,
            figures.namespaces,
            figures.links,
            figures.ways,
            audit.firewalls,
            match figures.planned {
                0 => String::new(),
                1 => ", 1 container foreseen".to_owned(),
                many => format!(", {many} containers foreseen"),
            },
        )?;
        for what in &audit.missing {
            self.paragraph(what, Style::faint)?;
        }
        Ok(())
    }

    fn paragraph(&mut self, text: &str, paint: fn(&Style, &str) -> String) -> io::Result<()> {
        for line in wrap(text, self.style.width) {
            writeln!(self.to, "{}", paint(self.style, &line))?;
        }
        Ok(())
    }

    fn finding(&mut self, finding: &'a Finding) -> io::Result<()> {
        let style = self.style;
        writeln!(
            self.to,
            "\n{} {} {} ({}{})",
            style.strong(&finding.id),
            style.severity(finding.severity),
            style.strong(finding.verdict.name()),
            finding.confidence.name(),
            if finding.ongoing { ", ongoing" } else { "" },
        )?;
        for line in wrap(&finding.summary, style.width.saturating_sub(2)) {
            writeln!(self.to, "  {line}")?;
        }
        writeln!(self.to)?;
        let mut parts = about(self.report, finding);
        parts.push(("path", path_lines(finding, style)));
        parts.push(("evidence", self.evidence(finding)));
        for (label, lines) in parts {
            self.part(label, &self.wrapped(&lines))?;
        }
        for (number, fix) in (1..).zip(&finding.fixes) {
            let lines = match self.told.entry(fix) {
                Entry::Occupied(before) => {
                    vec![format!(
                        "{} (fix {})",
                        style.strong(&fix.title),
                        before.get()
                    )]
                }
                Entry::Vacant(new) => {
                    new.insert(format!("{number} of {}", finding.id));
                    self.fix(fix)
                }
            };
            self.part(&format!("fix {number}"), &lines)?;
        }
        Ok(())
    }

    fn evidence(&self, finding: &Finding) -> Vec<String> {
        match &self.report.audit {
            Some(_) => audit_lines(finding),
            None => evidence_lines(&self.report.clock, finding),
        }
    }

    fn fix(&self, fix: &Fix) -> Vec<String> {
        let (style, width) = (self.style, self.style.width.saturating_sub(INDENT));
        let title = wrap(&fix.title, width)
            .into_iter()
            .map(|line| style.strong(&line));
        let commands = fix.commands.iter();
        let commands = commands.map(|command| style.command(&format!("# {command}")));
        title
            .chain(wrap(&fix.detail, width))
            .chain(commands)
            .collect()
    }

    /// Lines that fit; painted ones and those of tables keep their form.
    fn wrapped(&self, lines: &[String]) -> Vec<String> {
        let width = self.style.width.saturating_sub(INDENT);
        let keeps_form = |line: &str| line.chars().count() <= width || line.contains('\u{1b}');
        let wrapped = lines.iter().flat_map(|line| {
            if keeps_form(line) {
                vec![line.clone()]
            } else {
                wrap(line, width)
            }
        });
        wrapped.collect()
    }

    fn part(&mut self, label: &str, lines: &[String]) -> io::Result<()> {
        for (index, line) in lines.iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let gap = " ".repeat(INDENT - 2 - label.len().min(INDENT - 2));
            writeln!(self.to, "  {}{gap}{line}", self.style.label(label))?;
        }
        Ok(())
    }
}
