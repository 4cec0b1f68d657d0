//! The matrix as text, with its figures.

use std::fmt;

use jiff::SignedDuration;
use lab::skips;

use crate::stage::Run;
use crate::view::{Hook, View};

/// How many scenarios were right, wrong and not run.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Tally {
    /// Adds those of another run.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Prints that a run without this hook would be the run with every hook that this kernel has.
pub fn skip(hook: &Hook) -> Tally {
    let why = hook.detail.as_deref().unwrap_or("it says nothing of why");
    println!();
    skips::skip(&format!("matrix, {}", View::Without(hook.clone())), why);
    Tally {
        skipped: 1,
        ..Tally::default()
    }
}

/// Prints what became of the scenarios as one tracer saw them.
pub fn print(ran: &Run) -> Tally {
    println!("\nmatrix, {}", ran.view);
    println!("{:<10} {:<52} {:<22} got", "scenario", "what", "expected");
    let (mut right, mut missed) = (0, 0);
    let judged = || ran.lines.iter().filter(|it| it.judged.skipped.is_none());
    for line in &ran.lines {
        let expected = line.scenario.expect.verdict().unwrap_or("-");
        if let Some(kind) = line.judged.skipped {
            let what = format!("{} ({})", line.scenario.id, line.scenario.what);
            skips::skip(&what, &format!("this kernel has no {kind}"));
            continue;
        }
        let got = if line.judged.got.is_empty() {
            "-".to_owned()
        } else {
            line.judged.got.join(", ")
        };
        let is_missed = line.is_missed();
        let mark = match (line.judged.is_right(), is_missed) {
            (true, true) => "  (missed)",
            (true, false) => "",
            (false, _) => "  WRONG",
        };
        println!(
            "{:<10} {:<52} {expected:<22} {got}{mark}",
            line.scenario.id, line.scenario.what
        );
        for fault in &line.judged.faults {
            println!("{:11}{fault}", "");
        }
        right += usize::from(line.judged.is_right());
        missed += usize::from(is_missed);
    }
    let wanted = judged()
        .filter(|line| line.scenario.expect.verdict().is_some())
        .count();
    let found = wanted - missed;
    let extra: usize = ran.lines.iter().map(|line| line.judged.extra).sum();
    let all = judged().count();
    let skipped = match ran.lines.len() - all {
        0 => String::new(),
        more => format!(", {more} skipped"),
    };
    println!(
        "{right} of {all} right{skipped}; precision {}, recall {}{}",
        share(found, found + extra),
        share(found, wanted),
        times(ran),
    );
    Tally {
        passed: right,
        failed: all - right,
        skipped: ran.lines.len() - all,
    }
}

fn share(part: usize, whole: usize) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!(
            "{}.{:02} ({part} of {whole})",
            part / whole,
            part * 100 / whole % 100
        ),
    }
}

fn times(ran: &Run) -> String {
    let mut times: Vec<SignedDuration> = ran
        .lines
        .iter()
        .filter_map(|line| line.judged.took)
        .collect();
    times.sort();
    match (times.get(times.len() / 2), times.last()) {
        (Some(median), Some(worst)) => format!(
            "; first loss to verdict: median {} ms, worst {} ms",
            median.as_millis(),
            worst.as_millis()
        ),
        _ => String::new(),
    }
}
