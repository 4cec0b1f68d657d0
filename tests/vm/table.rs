//! Kernels by scenarios and by mechanisms, as text; and what is to be said of each cell that fails.

use std::fmt::Write;

use anyhow::Error;
use lab::packages::Unreachable;
use serde::Deserialize;

/// What became of one kernel.
#[derive(Debug)]
pub struct Column {
    /// The name of the kernel.
    pub name: String,
    /// What `uname -r` prints there; empty if it did not come so far.
    pub release: String,
    /// What `doctor` says of each hook.
    pub hooks: Vec<Hook>,
    /// What became of each scenario.
    pub lines: Vec<Line>,
    /// Why there is nothing, or not all.
    pub failed: Option<String>,
    /// Whether that is because the kernel cannot be had here.
    pub is_absent: bool,
}

/// What `mtu-trace doctor --format json` says.
#[derive(Debug, Default, Deserialize)]
pub struct Doctor {
    /// What `uname -r` prints.
    pub kernel: String,
    /// The hooks, each with its state.
    pub hooks: Vec<Hook>,
}

/// A hook, and how it is attached.
#[derive(Debug, Deserialize)]
pub struct Hook {
    /// The name of the hook.
    pub hook: String,
    /// How it is attached, or was tried.
    pub mechanism: String,
    /// Whether it is attached.
    pub attached: bool,
    /// Whether it adds to the evidence only.
    #[serde(default)]
    pub optional: bool,
    /// Why it is not.
    pub detail: Option<String>,
    /// What is lost without it.
    pub lost: Option<String>,
}

/// A scenario, as the matrix writes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// The mechanism of the tracer that has seen it; `None` for the best way.
    pub mechanism: Option<String>,
    /// The identifier of the scenario.
    pub id: String,
    /// In a few words.
    pub what: String,
    /// The verdict that should be found; `None` for nothing.
    pub expected: Option<String>,
    /// The findings, each in a few words.
    pub got: Vec<String>,
    /// What is wrong with it.
    pub faults: Vec<String>,
    /// Whether something was to be found and was not.
    pub missed: bool,
    /// The kind of interface that the kernel lacks.
    pub skipped: Option<String>,
}

impl Column {
    /// One of which nothing is known but why.
    pub fn missing(name: &str, why: &Error) -> Self {
        Self {
            name: name.to_owned(),
            release: String::new(),
            hooks: Vec::new(),
            lines: Vec::new(),
            failed: Some(format!("{why:#}")),
            is_absent: why.is::<Unreachable>(),
        }
    }

    /// Whether every scenario ran that can, and was judged right.
    pub fn is_right(&self) -> bool {
        self.failed.is_none() && self.lines.iter().all(|line| line.faults.is_empty())
    }

    /// The kinds of interfaces that the kernel lacks, each with the scenarios that were skipped for it.
    pub fn skipped(&self) -> Vec<(&str, Vec<&str>)> {
        let mut skipped: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in &self.lines {
            if let Some(kind) = line.skipped.as_deref() {
                match skipped.iter_mut().find(|(it, _)| *it == kind) {
                    Some((_, ids)) => ids.push(&line.id),
                    None => skipped.push((kind, vec![&line.id])),
                }
            }
        }
        skipped
    }

    fn cell(&self, id: &str) -> &'static str {
        match self.lines.iter().find(|line| line.id == id) {
            None => "?",
            Some(line) if line.skipped.is_some() => "-",
            Some(line) => match (line.faults.is_empty(), line.missed) {
                (true, false) => "ok",
                (true, true) => "(missed)",
                (false, true) => "MISSED",
                (false, false) => "WRONG",
            },
        }
    }
}

/// The table of `columns`, and below it why cells are not `ok`.
pub fn render(columns: &[Column]) -> String {
    let mut text = String::new();
    hooks(&mut text, columns);
    scenarios(&mut text, columns);
    for column in columns {
        reasons(&mut text, column);
    }
    text
}

fn header(text: &mut String, columns: &[Column], first: &str, width: usize) {
    let _ = write!(text, "\n{first:<width$}");
    for column in columns {
        let _ = write!(text, " {:<15}", column.name);
    }
    end_line(text);
}

/// Ends a line without spaces before its end.
fn end_line(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn hooks(text: &mut String, columns: &[Column]) {
    header(text, columns, "hook", 26);
    let mut names: Vec<&str> = Vec::new();
    for hook in columns.iter().flat_map(|column| &column.hooks) {
        if !names.contains(&hook.hook.as_str()) {
            names.push(&hook.hook);
        }
    }
    for name in names {
        let _ = write!(text, "{name:<26}");
        for column in columns {
            let cell = match column.hooks.iter().find(|hook| hook.hook == name) {
                None => "?",
                Some(hook) if !hook.attached && hook.optional => "none",
                Some(hook) if !hook.attached => "MISSING",
                Some(hook) => &hook.mechanism,
            };
            let _ = write!(text, " {cell:<15}");
        }
        end_line(text);
    }
}

fn scenarios(text: &mut String, columns: &[Column]) {
    header(text, columns, "scenario", 62);
    let mut seen: Vec<&Line> = Vec::new();
    for line in columns.iter().flat_map(|column| &column.lines) {
        if seen.iter().all(|it| it.id != line.id) {
            seen.push(line);
        }
    }
    for line in seen {
        let _ = write!(text, "{:<9} {:<52}", line.id, line.what);
        for column in columns {
            let _ = write!(text, " {:<15}", column.cell(&line.id));
        }
        end_line(text);
    }
    let _ = write!(text, "{:<62}", "right");
    for column in columns {
        let ran = column.lines.iter().filter(|line| line.skipped.is_none());
        let right = ran.clone().filter(|line| line.faults.is_empty()).count();
        let _ = write!(text, " {:<15}", format!("{right} of {}", ran.count()));
    }
    end_line(text);
}

fn reasons(text: &mut String, column: &Column) {
    let begin = text.len();
    if let Some(why) = &column.failed {
        let _ = writeln!(text, "  {why}");
    }
    for hook in column.hooks.iter().filter(|hook| !hook.attached) {
        let why = hook.detail.as_deref().unwrap_or("no reason given");
        let _ = writeln!(text, "  {} is missing: {why}", hook.hook);
        if let Some(lost) = &hook.lost {
            let _ = writeln!(text, "{:13}lost: {lost}", "");
        }
    }
    for line in &column.lines {
        if line.faults.is_empty() && !line.missed {
            continue;
        }
        let got = match line.got.as_slice() {
            [] => "nothing".to_owned(),
            got => got.join(", "),
        };
        let expected = line.expected.as_deref().unwrap_or("nothing");
        let _ = writeln!(text, "  {:<10} {expected} expected, {got} found", line.id);
        for fault in &line.faults {
            let _ = writeln!(text, "{:13}{fault}", "");
        }
    }
    for (kind, ids) in column.skipped() {
        let _ = writeln!(text, "  {}: this kernel has no {kind}", ids.join(", "));
    }
    if text.len() > begin {
        let title = match column.release.as_str() {
            "" => column.name.clone(),
            release => format!("{} ({release})", column.name),
        };
        text.insert_str(begin, &format!("\n{title}\n"));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{Column, Hook, Line, render};

    fn hook(name: &str, mechanism: &str) -> Hook {
        Hook {
            hook: name.to_owned(),
            mechanism: mechanism.to_owned(),
            attached: true,
            optional: false,
            detail: None,
            lost: None,
        }
    }

    fn line(id: &str) -> Line {
        Line {
            mechanism: None,
            id: id.to_owned(),
            what: format!("what {id} is"),
            expected: Some("mtu-black-hole".to_owned()),
            got: vec!["mtu-black-hole (confirmed)".to_owned()],
            faults: Vec::new(),
            missed: false,
            skipped: None,
        }
    }

    #[test]
    fn a_table_says_what_failed_where_and_why() {
        let old = Column {
            name: "5.10".to_owned(),
            release: "5.10.0-46".to_owned(),
            hooks: vec![
                hook("skb:kfree_skb", "raw_tracepoint"),
                Hook {
                    attached: false,
                    detail: Some("the kernel has no such tracepoint".to_owned()),
                    lost: Some("whether a sender was told".to_owned()),
                    ..hook("icmp:icmp_send", "raw_tracepoint")
                },
                hook("tc:ingress", "tc"),
            ],
            lines: vec![
                line("A2"),
                Line {
                    faults: vec!["limit is 1500 instead of 1450".to_owned()],
                    ..line("B1")
                },
                Line {
                    got: Vec::new(),
                    missed: true,
                    faults: vec!["nothing found".to_owned()],
                    ..line("C1")
                },
                Line {
                    skipped: Some("geneve".to_owned()),
                    ..line("E1")
                },
            ],
            failed: None,
            is_absent: false,
        };
        let new = Column {
            name: "6.12".to_owned(),
            release: "6.12.117".to_owned(),
            hooks: vec![
                hook("skb:kfree_skb", "raw_tracepoint"),
                hook("icmp:icmp_send", "raw_tracepoint"),
                hook("tc:ingress", "tcx"),
            ],
            lines: vec![line("A2"), line("B1"), line("C1"), line("E1")],
            failed: None,
            is_absent: false,
        };
        let none = Column::missing("7.x", &anyhow!("it cannot be had"));
        assert!(!old.is_right());
        assert!(new.is_right());
        assert!(!none.is_right());
        insta::assert_snapshot!(render(&[old, new, none]));
    }
}
