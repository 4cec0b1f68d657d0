//! `explain`: what a verdict means, how to confirm it and what to do; or which verdicts there are.

use anyhow::Result;

use crate::base::text::wrap;
use crate::cli::{ColorChoice, ExplainOptions};
use crate::commands::output::{print_text, style};
use crate::core::verdicts::{entry, page};
use crate::model::finding::Verdict;
use crate::show::report::Style;

/// Space between two columns, characters.
const GAP: usize = 2;
/// Columns that a meaning gets at least, however narrow the terminal. A choice: a few words a line.
const LEAST_COLUMNS: usize = 24;

pub fn run(options: &ExplainOptions, color: ColorChoice) -> Result<u8> {
    let text = match options.verdict {
        Some(verdict) => page(verdict).to_owned(),
        None => table(&style(color)),
    };
    print_text(text.as_bytes()).map(|()| 0)
}

/// Every verdict with its severity and its meaning.
fn table(style: &Style) -> String {
    let rows = Verdict::ALL.map(|verdict| {
        let entry = entry(verdict);
        (verdict.name(), entry.severity_words(), entry.meaning)
    });
    let names = rows.iter().map(|(name, ..)| name.len());
    let names = names.max().unwrap_or(0) + GAP;
    let words = rows.iter().map(|(_, words, _)| words.len());
    let words = words.max().unwrap_or(0) + GAP;
    let indent = names + words;
    let meanings = style.width.saturating_sub(indent).max(LEAST_COLUMNS);
    let mut text = String::new();
    for (name, severity, meaning) in &rows {
        let gap = names - name.len();
        let lines = wrap(meaning, meanings).join(&format!("\n{:indent$}", ""));
        let name = style.strong(name);
        text += &format!("{name}{:gap$}{severity:words$}{lines}\n", "");
    }
    text + "\nAll about one: mtu-trace explain VERDICT\n"
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn table_of_verdicts() {
        assert_snapshot!(table(&Style::PLAIN), @r"
        mtu-black-hole      error                 A hanging connection's oversized packets die on this host.
        no-route            error, warning        The way out is gone: no route, interface or address.
        remote-black-hole   error                 Only full-size segments get nowhere, and none dies here.
        pmtud-working       info                  Packets were too big, the sender came down, data moves.
        pmtud-slow          warning               Packets were too big; recovery took several timeouts.
        local-drop          error, warning        Segments are lost on this host, but not for their size.
        packet-loss         info                  Segments were lost elsewhere and got through when resent.
        handshake-timeout   warning               SYNs are not answered, which is no MTU problem.
        receiver-stalled    info                  The receiver has no room (zero window); the sender waits.
        connection-aborted  info                  A connection with losses was reset or given up.
        mtu-mismatch        error, warning, info  A larger MTU leads into a smaller one (`mtu-trace check`).

        All about one: mtu-trace explain VERDICT
        ");
    }

    #[test]
    fn table_fits_a_narrow_terminal() {
        let style = Style {
            width: 80,
            ..Style::PLAIN
        };
        for line in table(&style).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
