//! The scenarios: one table, one judge, and several ways to run it.
//!
//! ```text
//! matrix [NAME…]            only scenarios whose id begins so
//! MTU_TRACE_MATRIX=once     all together under one tracer
//! MTU_TRACE_MATRIX=HOOK     all together without this hook
//! MTU_TRACE_MATRIX=alone    each under a tracer of its own
//! MTU_TRACE_MATRIX_MECHANISM=HOW,…  with `once`, a tracer for each at the same time: best, or one that
//!                           --mechanism takes
//! MTU_TRACE_MATRIX_CAPTURE=NAME  what the first tracer records last goes to NAME.pcapng, its report to NAME.json
//! MTU_TRACE_MATRIX_LINES=FILE  the same as lines of JSON, for another program
//! MTU_TRACE_MATRIX_BATCH=NUMBER  so many under one tracer, then the next: all stay until its end, which
//!                           is much for a slow machine
//! ```
//!
//! Without `MTU_TRACE_MATRIX` it is all of that: together, without each hook of the product's own
//! table at the same time (those the kernel does not have are shown as skipped), and the scenarios of
//! [`ALONE`] each by itself. The virtual machines of `cargo xtask vm` run it `once`.
//!
//! Ends with 0 if all is right, 1 if not, and 2 if it could not be run to its end.
#![allow(missing_docs, reason = "a test binary")]

mod count;
mod foreseen;
mod judge;
mod lines;
mod names;
mod scenario;
mod scenarios;
mod stage;
mod table;
mod view;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use lab::side_by_side::each;

use crate::scenario::Scenario;
use crate::stage::Run;
use crate::table::Tally;
use crate::view::{Hook, View};

/// What is also run with a tracer of its own, which sees nothing else: one of each datapath, and what is
/// told sooner, or from less, where nothing else happens.
const ALONE: [&str; 14] = [
    "A1", "A2", "A5b", "B1", "B2b", "C1", "L1", "N2", "V1", "V2", "X3", "O2", "O9", "R1",
];
/// How many tracers run at once where each scenario has its own. A choice: as many as tests run at once.
const TRACERS_AT_ONCE: usize = 4;

fn main() -> ExitCode {
    match run() {
        Ok(tally) => {
            println!("\n{tally}");
            ExitCode::from(u8::from(tally.failed > 0))
        }
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::from(2)
        }
    }
}

/// What is to be run.
struct Plan {
    /// What the tracers see that run at the same time.
    together: Vec<View>,
    /// Hooks that this kernel does not have, and so cannot be left out.
    absent: Vec<Hook>,
    /// Which scenarios have a tracer of their own.
    alone: fn(&Scenario) -> bool,
}

impl Plan {
    /// What `MTU_TRACE_MATRIX` asks for.
    fn asked_for() -> Result<Self> {
        let how = std::env::var("MTU_TRACE_MATRIX").unwrap_or_default();
        let nothing = Self {
            together: Vec::new(),
            absent: Vec::new(),
            alone: |_| false,
        };
        if how == "once" {
            return Ok(Self {
                together: mechanisms(),
                ..nothing
            });
        }
        if how == "alone" {
            return Ok(Self {
                alone: |_| true,
                ..nothing
            });
        }
        let mut hooks = view::hooks()?;
        hooks.retain(|hook| how.is_empty() || hook.name == how);
        ensure!(!hooks.is_empty(), "no hook is called {how}");
        let (attached, absent): (Vec<_>, Vec<_>) = hooks.into_iter().partition(|it| it.attached);
        let without = attached.into_iter().map(View::Without);
        if !how.is_empty() {
            return Ok(Self {
                together: without.collect(),
                absent,
                ..nothing
            });
        }
        Ok(Self {
            together: [View::Together].into_iter().chain(without).collect(),
            absent,
            alone: |scenario| ALONE.contains(&scenario.id),
        })
    }
}

fn run() -> Result<Tally> {
    let chosen = chosen()?;
    let mut tally = Tally::default();
    if chosen.is_empty() {
        return Ok(tally);
    }
    let plan = Plan::asked_for()?;
    let mut lines = lines::Lines::asked_for()?;
    if !plan.together.is_empty() {
        for batch in chosen.chunks(batch(chosen.len())?) {
            for ran in stage::run(batch, &plan.together)? {
                tally.add(table::print(&ran));
                lines.write(&ran)?;
            }
        }
    }
    for hook in &plan.absent {
        tally.add(table::skip(hook));
    }
    let alone: Vec<_> = chosen.into_iter().filter(plan.alone).collect();
    if !alone.is_empty() {
        let ran = self::alone(alone)?;
        tally.add(table::print(&ran));
        lines.write(&ran)?;
    }
    Ok(tally)
}

/// What `MTU_TRACE_MATRIX_MECHANISM` asks for.
fn mechanisms() -> Vec<View> {
    let asked = std::env::var("MTU_TRACE_MATRIX_MECHANISM").unwrap_or_default();
    let view = |mechanism: &str| match mechanism {
        "" | "best" => View::Together,
        other => View::By(other.to_owned()),
    };
    asked.split(',').map(view).collect()
}

/// The scenarios that are named on the command line, all without a name. An error where two have one name:
/// one's findings would be judged as the other's.
fn chosen() -> Result<Vec<Scenario>> {
    // What `cargo test -- --option` passes to every test binary is none of ours.
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_chosen = |scenario: &Scenario| {
        let is_named = |name: &String| scenario.id.starts_with(name.as_str());
        names.is_empty() || names.iter().any(is_named)
    };
    let all = scenarios::all();
    let mut ids = HashSet::new();
    if let Some(twice) = all.iter().find(|scenario| !ids.insert(scenario.id)) {
        bail!("two scenarios are called {}", twice.id);
    }
    Ok(all.into_iter().filter(is_chosen).collect())
}

/// How many scenarios are run under one tracer.
fn batch(all: usize) -> Result<usize> {
    match std::env::var("MTU_TRACE_MATRIX_BATCH") {
        Ok(number) => Ok(number
            .parse::<NonZeroUsize>()
            .with_context(|| format!("MTU_TRACE_MATRIX_BATCH is no number: {number}"))?
            .get()),
        Err(_) => Ok(all),
    }
}

/// Runs each scenario under a tracer of its own.
fn alone(scenarios: Vec<Scenario>) -> Result<Run> {
    let lines = each(TRACERS_AT_ONCE, scenarios, |scenario| {
        stage::run(&[scenario], &[View::Alone])
    });
    let mut all = Vec::new();
    for ran in lines {
        all.extend(ran?.into_iter().flat_map(|ran| ran.lines));
    }
    Ok(Run {
        view: View::Alone,
        lines: all,
    })
}
