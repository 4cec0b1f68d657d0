//! The report for issues, merge requests and the summaries of CI jobs (CommonMark, with tables as
//! GitHub and GitLab have them).
//!
//! Names come from containers: nothing in them may become markup.

use std::io::{self, Write};

use crate::model::finding::{Finding, Fix};
use crate::model::hook_status::HookStatus;
use crate::show::report::lines::{about, evidence_lines, nothing, path_lines};
use crate::show::report::style::Style;
use crate::show::report::{FormatDefinition, Report};

/// The report as Markdown.
pub static FORMAT: FormatDefinition = FormatDefinition {
    name: "markdown",
    help: "For issues, merge requests and job summaries",
    write: |report, to, _| write(report, to),
};

fn write(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    let capture = &report.capture;
    let count = match report.findings.len() {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    writeln!(
        to,
        "## mtu-trace: {count}\n\n{}, kernel {}, {}: {:.1} s, {}, {} events, {} lost \
         (mtu-trace {}).",
        escaped(&capture.hostname),
        escaped(&capture.kernel),
        capture.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
        capture.duration_s,
        HookStatus::tally(&capture.hooks),
        capture.events,
        capture.lost_events,
        escaped(&capture.tool_version),
    )?;
    for note in capture
        .notes
        .iter()
        .chain(&HookStatus::missed(&capture.hooks))
    {
        writeln!(to, "\n> **Note:** {}", escaped(note))?;
    }
    if let Some(selected) = &capture.selection {
        writeln!(to, "\n> {}", escaped(&selected.to_string()))?;
    }
    if report.findings.is_empty() {
        writeln!(to, "\n{}", nothing(report))?;
    }
    for finding in &report.findings {
        write_finding(report, finding, to)?;
    }
    Ok(())
}

fn write_finding(report: &Report, finding: &Finding, to: &mut dyn Write) -> io::Result<()> {
    writeln!(
        to,
        "\n### {} {}: {}, {}{}\n\n{}\n\n| | |\n|---|---|",
        finding.id,
        code(finding.verdict.name()),
        finding.severity.name(),
        finding.confidence.name(),
        if finding.ongoing { ", ongoing" } else { "" },
        escaped(&finding.summary),
    )?;
    let evidence = ("evidence", evidence_lines(&report.clock, finding));
    for (label, lines) in about(report, finding).into_iter().chain([evidence]) {
        let lines = lines.iter().filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.map(|line| escaped(line)).collect();
        if !lines.is_empty() {
            writeln!(to, "| {label} | {} |", lines.join("<br>"))?;
        }
    }
    if !finding.path.is_empty() {
        writeln!(to, "\nPath:\n")?;
        block(to, "text", &path_lines(finding, &Style::PLAIN))?;
    }
    for (
        number,
        Fix {
            title,
            detail,
            commands,
        },
    ) in (1..).zip(&finding.fixes)
    {
        let (title, detail) = (escaped(title), escaped(detail));
        writeln!(to, "\n**Fix {number}: {title}.** {detail}")?;
        if !commands.is_empty() {
            writeln!(to)?;
            block(to, "sh", commands)?;
        }
    }
    Ok(())
}

/// Text in which nothing is markup.
fn escaped(text: &str) -> String {
    let mut to = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '&' => to.push_str("&amp;"),
            '\n' | '\r' => to.push(' '),
            // `@` and `#` would call people and link issues; a full stop would not be a list's.
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|'
            | '~' | '@' | '$' => {
                to.push('\\');
                to.push(character);
            }
            _ => to.push(character),
        }
    }
    to
}

/// A few words as code.
fn code(text: &str) -> String {
    let fence = "`".repeat(longest_run(text) + 1);
    if text.starts_with('`') || text.ends_with('`') {
        return format!("{fence} {text} {fence}");
    }
    format!("{fence}{text}{fence}")
}

/// Lines as code.
fn block(to: &mut dyn Write, language: &str, lines: &[String]) -> io::Result<()> {
    let longest = lines.iter().map(|line| longest_run(line)).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    writeln!(to, "{fence}{language}")?;
    for line in lines {
        writeln!(to, "{}", line.replace(['\n', '\r'], " "))?;
    }
    writeln!(to, "{fence}")
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|character| character != '`').map(str::len);
    runs.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_become_markup() {
        assert_eq!(escaped("a|b\n<img>"), "a\\|b &lt;img&gt;");
        assert_eq!(escaped("[x](y) @me #1"), "\\[x\\]\\(y\\) \\@me \\#1");
        assert_eq!(code("eth0"), "`eth0`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        let mut bytes = Vec::new();
        block(&mut bytes, "sh", &["echo ```\n```".to_owned()]).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "````sh\necho ``` ```\n````\n"
        );
    }
}
