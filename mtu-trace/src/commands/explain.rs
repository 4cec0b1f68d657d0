//! `explain`: what a verdict means, how to confirm it and what to do; or which verdicts there are.

use std::io::{self, Write};

use anyhow::{Context as _, Result};

use super::output::style;
use crate::{
    cli::{ColorChoice, Explain},
    diagnose::{Entry, Verdict, entry},
    report::{Style, wrap},
};

/// Space between two columns.
const GAP: usize = 2;
/// What a meaning gets at least, however narrow the terminal.
const LEAST_COLUMNS: usize = 24;

/// Runs the command; gives the exit status.
pub fn run(options: &Explain, color: ColorChoice) -> Result<u8> {
    let mut stdout = io::stdout().lock();
    match options.verdict {
        Some(verdict) => stdout.write_all(entry(verdict).page.as_bytes()),
        None => table(&mut stdout, &style(color)),
    }
    .and_then(|()| stdout.flush())
    .context("cannot write to standard output")?;
    Ok(0)
}

/// Every verdict with its severity and its meaning.
fn table(to: &mut impl Write, style: &Style) -> io::Result<()> {
    let rows: Vec<(Entry, String)> = Verdict::ALL
        .map(entry)
        .map(|entry| (entry, entry.severity_words()))
        .into();
    let names = rows.iter().map(|(entry, _)| entry.verdict.name().len());
    let names = names.max().unwrap_or(0) + GAP;
    let words = rows.iter().map(|(_, words)| words.len());
    let words = words.max().unwrap_or(0) + GAP;
    let meanings = style.width.saturating_sub(names + words).max(LEAST_COLUMNS);
    for (entry, severity) in &rows {
        let name = entry.verdict.name();
        let gap = names - name.len();
        write!(to, "{}{:gap$}{severity:words$}", style.strong(name), "")?;
        for (number, line) in wrap(entry.meaning, meanings).iter().enumerate() {
            let indent = if number == 0 { 0 } else { names + words };
            writeln!(to, "{:indent$}{line}", "")?;
        }
    }
    writeln!(to)?;
    writeln!(to, "All about one: mtu-trace explain VERDICT")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn written(style: &Style) -> String {
        let mut bytes = Vec::new();
        table(&mut bytes, style).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn table_of_verdicts() {
        assert_snapshot!(written(&Style::PLAIN), @"");
    }

    #[test]
    fn table_fits_a_narrow_terminal() {
        let style = Style {
            width: 80,
            ..Style::PLAIN
        };
        for line in written(&style).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
