//! Runs scenarios side by side, under one tracer or several at the same time.
//!
//! A tracer only observes (`tests/scenarios/harmless.rs` proves it), so that several of them see the
//! same traffic: one with every hook, and one for each hook that is left out. What each must say of a
//! scenario is judged by itself, so nothing is proved less than by running the scenarios once for each.

use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, anyhow};
use lab::patience::patient;
use lab::side_by_side::each;
use lab::tracer::{Recording, Tracer};
use lab::{audit, binary};

use crate::count::{self, Counted};
use crate::judge::{Judged, Seen, judge};
use crate::scenario::{Act, Begins, Scenario, Traffic};
use crate::view::View;

/// How many networks are built at once: each is some tens of commands, which compute.
const BUILT_AT_ONCE: usize = 8;
/// How many scenarios have traffic at once: they wait far more than they compute.
const UNDER_WAY_AT_ONCE: usize = 24;
/// Ends a tracer that nobody stops.
const LONGEST: Duration = Duration::from_secs(300);

/// What became of all scenarios as one tracer saw them.
pub struct Run {
    /// What the tracer saw.
    pub view: View,
    /// In the order of the scenarios.
    pub lines: Vec<Line>,
}

/// What became of one.
pub struct Line {
    pub scenario: Scenario,
    pub judged: Judged,
}

impl Line {
    /// Whether something was to be found and was not.
    pub fn is_missed(&self) -> bool {
        let is_wanted = self.scenario.expect.verdict().is_some();
        is_wanted && !self.judged.found && self.judged.skipped.is_none()
    }
}

/// A scenario's network, if the kernel can have it.
enum Built {
    Ready(Traffic),
    Skipped(&'static str),
}

/// What became of a scenario's traffic.
enum Acted {
    Done(Box<Act>),
    Skipped(&'static str),
}

/// Runs all `scenarios` once, under a tracer for each of `views`, and judges them by each.
///
/// # Errors
///
/// A tracer or the audit fails. What is wrong with a scenario is told in its line.
pub fn run(scenarios: &[Scenario], views: &[View]) -> Result<Vec<Run>> {
    let numbered = scenarios.iter().copied().enumerate();
    let (older, younger): (Vec<_>, Vec<_>) =
        numbered.partition(|(_, scenario)| scenario.begins == Begins::BeforeTrace);
    let build = |(number, scenario): (usize, Scenario)| (number, build(&scenario));
    let older = each(BUILT_AT_ONCE, older, build);
    let numbered = views.iter().enumerate().collect();
    let tracers = each(views.len(), numbered, |(number, view)| {
        // Only one can write the capture.
        start(view, capture().filter(|_| number == 0))
    });
    let tracers: Vec<Tracer> = tracers.into_iter().collect::<Result<_>>()?;
    let (audit, mut acts) = thread::scope(|scope| -> Result<_> {
        // What is older goes on at once, since the timers of its sockets do.
        let older = older.into_iter().map(|(number, built)| {
            let going_on = scope.spawn(move || act(built));
            (number, going_on)
        });
        let older: Vec<_> = older.collect();
        let younger = each(BUILT_AT_ONCE, younger, build);
        // Before the traffic: it must foresee what that will meet.
        let audit = audit::check()?;
        let mut acts = each(UNDER_WAY_AT_ONCE, younger, |(number, built)| {
            (number, act(built))
        });
        for (number, going_on) in older {
            let panicked = |_| Err(anyhow!("it panicked"));
            acts.push((number, going_on.join().unwrap_or_else(panicked)));
        }
        Ok((audit, acts))
    })?;
    acts.sort_by_key(|(number, _)| *number);
    let acts: Vec<_> = scenarios
        .iter()
        .zip(acts.into_iter().map(|it| it.1))
        .collect();

    // A retransmission may fall between a counter and a report, so each is read before and after.
    let before: Vec<_> = acts.iter().map(|(it, act)| counters(it, act)).collect();
    let count = u32::try_from(tracers.len())?;
    let recordings = each(tracers.len(), tracers, |tracer| tracer.stop_beside(count));
    let recordings: Vec<Recording> = recordings.into_iter().collect::<Result<_>>()?;
    let after: Vec<_> = acts.iter().map(|(it, act)| counters(it, act)).collect();
    keep(&recordings)?;

    let ran = views.iter().zip(&recordings).map(|(view, recording)| {
        let missing = missing(recording, view);
        let rows: Vec<_> = acts.iter().zip(before.iter().zip(&after)).collect();
        let lines = each(
            UNDER_WAY_AT_ONCE,
            rows,
            |((scenario, act), (before, after))| {
                let counted = Counted { before, after };
                let mut line = line(scenario, act, &counted, view, recording, &audit);
                if line.judged.skipped.is_none() {
                    line.judged.faults.extend(missing.iter().cloned());
                }
                line
            },
        );
        Run {
            view: view.clone(),
            lines,
        }
    });
    Ok(ran.collect())
}

/// Starts the tracer that sees this, and keeps what it records in a `capture` if that has a name.
fn start(view: &View, capture: Option<String>) -> Result<Tracer> {
    let file = capture.map(|name| format!("{name}.pcapng"));
    let mut options = vec!["--format", "json"];
    options.extend(file.iter().flat_map(|file| ["--force", "-o", file]));
    if let Some(mechanism) = view.mechanism() {
        options.extend(["--mechanism", mechanism]);
    }
    if let Some(hook) = view.left_out() {
        options.extend(["--without", &hook.name]);
    }
    let longest = format!("{}s", patient(LONGEST).as_secs());
    Tracer::start_for(&longest, &binary::mtu_trace(), &options)
}

/// Where what is recorded should be kept, without an extension.
fn capture() -> Option<String> {
    std::env::var("MTU_TRACE_MATRIX_CAPTURE").ok()
}

/// Keeps the report that goes with the capture: that of the first tracer.
fn keep(recordings: &[Recording]) -> Result<()> {
    let (Some(name), Some(first)) = (capture(), recordings.first()) else {
        return Ok(());
    };
    fs::write(format!("{name}.json"), &first.finished.stdout).context("writing the report")
}

/// The hooks that should be at work and are not, or the other way about.
fn missing(recording: &Recording, view: &View) -> Vec<String> {
    let left_out = view.left_out().map(|hook| hook.name.as_str());
    let hooks = recording.report.capture.hooks.iter();
    hooks
        .filter_map(|hook| {
            let is_left_out = left_out == Some(hook.hook.as_str());
            match (hook.attached, is_left_out) {
                (true, true) => Some(format!("{} is attached", hook.hook)),
                (false, false) if !hook.optional => Some(format!("{} is missing", hook.hook)),
                _ => None,
            }
        })
        .collect()
}

fn build(scenario: &Scenario) -> Result<Built> {
    if let Some(kind) = scenario.needs
        && !kind.is_supported()?
    {
        return Ok(Built::Skipped(kind.name()));
    }
    (scenario.build)().map(Built::Ready)
}

fn act(built: Result<Built>) -> Result<Acted> {
    match built? {
        Built::Ready(traffic) => traffic().map(|act| Acted::Done(Box::new(act))),
        Built::Skipped(kind) => Ok(Acted::Skipped(kind)),
    }
}

/// The kernel's counters of a scenario; none of one that did not come so far.
fn counters(scenario: &Scenario, act: &Result<Acted>) -> Result<Vec<u64>> {
    match act {
        Ok(Acted::Done(act)) => count::read(scenario.counts, act.lab.lab()),
        _ => Ok(Vec::new()),
    }
}

fn line(
    scenario: &Scenario,
    act: &Result<Acted>,
    counted: &Counted<'_>,
    view: &View,
    recording: &Recording,
    audit: &Recording,
) -> Line {
    let mut scenario = *scenario;
    let judged = match act {
        Err(error) => Judged::failed(format!("{error:#}")),
        Ok(Acted::Skipped(kind)) => Judged::skipped(kind),
        Ok(Acted::Done(act)) => {
            scenario.expect = scenario.expect.settled(act.hung);
            judge(&Seen {
                scenario: &scenario,
                act,
                counted,
                view,
                recording,
                audit,
            })
        }
    };
    Line { scenario, judged }
}
