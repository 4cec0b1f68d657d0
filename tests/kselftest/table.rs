//! What became of each case, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use lab::report::Severity;

use super::case::{Ended, Outcome, Told};

/// The titles of the columns but the last, with their widths.
const TITLES: [(&str, usize); 6] = [
    ("case", 30),
    ("kernel", 26),
    ("alone", 6),
    ("traced", 7),
    ("events", 7),
    ("right", 6),
];

/// The table of `outcomes`, and below it why rows are not right.
pub fn render(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n");
    for (title, width) in TITLES {
        let _ = write!(text, "{title:<width$} ");
    }
    text.push_str("findings\n");
    for outcome in outcomes {
        row(&mut text, outcome);
    }
    for outcome in outcomes.iter().filter(|it| !it.is_right()) {
        reasons(&mut text, outcome);
    }
    text
}

fn row(text: &mut String, outcome: &Outcome) {
    let events = outcome.events.to_string();
    let cells = [
        outcome.case.as_str(),
        &outcome.kernel,
        outcome.alone.word(),
        outcome.traced.map_or("-", Ended::word),
        if outcome.traced.is_some() {
            &events
        } else {
            "-"
        },
        if outcome.is_right() { "ok" } else { "WRONG" },
    ];
    for (cell, (_, width)) in cells.iter().zip(TITLES) {
        let _ = write!(text, "{cell:<width$} ");
    }
    // What is said of many connections is shown once.
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for finding in &outcome.findings {
        *counts.entry(short(finding)).or_default() += 1;
    }
    let indent: usize = TITLES.iter().map(|(_, width)| width + 1).sum();
    let lines: Vec<String> = counts
        .into_iter()
        .map(|(what, count)| match count {
            1 => what,
            _ => format!("{count} × {what}"),
        })
        .collect();
    match lines.as_slice() {
        [] => text.push('-'),
        lines => text.push_str(&lines.join(&format!("\n{:indent$}", ""))),
    }
    text.push('\n');
}

fn short(finding: &Told) -> String {
    let severity = severity(finding.severity);
    let mark = if finding.is_wrong { "WRONG: " } else { "" };
    let text = format!("{mark}{} ({severity}) {}", finding.verdict, finding.place);
    text.trim_end().to_owned()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn reasons(text: &mut String, outcome: &Outcome) {
    let _ = writeln!(text, "\n{} on {}:", outcome.case, outcome.kernel);
    if let Some(trouble) = &outcome.trouble {
        let _ = writeln!(text, "  {trouble}");
    }
    if !outcome.is_undisturbed() {
        let _ = writeln!(
            text,
            "  it ends otherwise with the tracer beside it: {}",
            outcome.words
        );
    }
    for finding in outcome.findings.iter().filter(|it| it.is_wrong) {
        let _ = writeln!(text, "  {}: {}", finding.verdict, finding.summary);
    }
}

/// The cases that passed nowhere, each with the last words of its last run.
pub fn untested(outcomes: &[Outcome]) -> Vec<(&str, String)> {
    let passed: BTreeSet<&str> = outcomes
        .iter()
        .filter(|it| it.alone == Ended::Passed)
        .map(|it| it.case.as_str())
        .collect();
    let last: BTreeMap<&str, &str> = outcomes
        .iter()
        .map(|it| (it.case.as_str(), it.words.as_str()))
        .collect();
    last.into_iter()
        .filter(|(case, _)| !passed.contains(case))
        .map(|(case, words)| (case, format!("it does not pass by itself: {words}")))
        .collect()
}
