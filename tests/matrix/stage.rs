//! Plays scenarios side by side under one tracer.

use std::{collections::VecDeque, fs, process::Command, sync::Mutex, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{
    binary,
    patience::patient,
    tracer::{Recording, Tracer},
};

use crate::{
    judge::{Judged, judge},
    scenario::{Act, Expect, Play, Rest, Scenario},
};

/// How many scenarios are under way at once: they wait far more than they compute.
const AT_ONCE: usize = 8;
/// Ends a tracer that nobody stops.
const LONGEST: Duration = Duration::from_secs(300);

/// What became of all scenarios.
pub struct Played {
    /// The hook that was switched off.
    pub without: Option<&'static str>,
    /// In the order of the matrix.
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

impl Played {
    /// Plays them all, with a hook switched off if there is one to be.
    ///
    /// # Errors
    ///
    /// The tracer fails.
    pub fn play(scenarios: &[Scenario], without: Option<&'static str>) -> Result<Self> {
        let mechanism = std::env::var("MTU_TRACE_MATRIX_MECHANISM").unwrap_or_default();
        let capture = std::env::var("MTU_TRACE_MATRIX_CAPTURE").ok();
        let file = capture.as_ref().map(|name| format!("{name}.pcapng"));
        let mut options = vec!["--format", "json"];
        if !mechanism.is_empty() {
            options.extend(["--mechanism", &mechanism]);
        }
        options.extend(file.iter().flat_map(|file| ["--force", "-o", file]));
        options.extend(without.iter().flat_map(|hook| ["--without", hook]));
        let ready = each(scenarios.to_vec(), |scenario| {
            (scenario, prepare(&scenario))
        });
        let longest = format!("{}s", patient(LONGEST).as_secs());
        let tracer = Tracer::start_for(&longest, &binary::mtu_trace(), &options)?;
        let acts = each(ready, |(scenario, ready)| (scenario, act(ready)));
        let recording = tracer.stop()?;
        if let Some(name) = &capture {
            fs::write(format!("{name}.json"), &recording.finished.stdout)
                .context("writing the report")?;
        }
        let missing = missing(&recording, without);
        let lines = thread::scope(|scope| {
            let running: Vec<_> = acts
                .into_iter()
                .map(|(scenario, act)| {
                    let recording = &recording;
                    let missing = missing.as_slice();
                    let line = scope.spawn(move || {
                        let mut line = line(scenario, act, recording, without);
                        for hook in missing {
                            line.judged.wrong(format!("{hook} is missing"));
                        }
                        line
                    });
                    (scenario, line)
                })
                .collect();
            running
                .into_iter()
                .map(|(scenario, line)| {
                    line.join().unwrap_or_else(|_| Line {
                        scenario,
                        judged: Judged::failed("panicked".to_owned()),
                    })
                })
                .collect()
        });
        Ok(Self { without, lines })
    }
}

/// The hooks that are not at work, besides one that is switched off.
fn missing(recording: &Recording, without: Option<&str>) -> Vec<String> {
    let hooks = recording.report.capture.hooks.iter();
    hooks
        .filter(|hook| !hook.attached && !hook.optional && without != Some(hook.hook.as_str()))
        .map(|hook| hook.hook.clone())
        .collect()
}

/// A scenario before the trace.
enum Ready {
    /// All of it is still to come.
    Whole(fn() -> Result<Act>),
    /// It has begun, and this is left.
    Rest(Rest),
    /// The kernel cannot have it.
    Skipped(&'static str),
}

/// What became of a scenario under the trace.
enum Acted {
    Done(Box<Act>),
    Skipped(&'static str),
}

fn prepare(scenario: &Scenario) -> Result<Ready> {
    if let Some(kind) = scenario.needs
        && !kind.is_supported()?
    {
        return Ok(Ready::Skipped(kind.name()));
    }
    match scenario.play {
        Play::Whole(act) => Ok(Ready::Whole(act)),
        Play::Rest(prepare) => prepare().map(Ready::Rest),
    }
}

fn act(ready: Result<Ready>) -> Result<Acted> {
    match ready? {
        Ready::Whole(act) => act(),
        Ready::Rest(rest) => rest(),
        Ready::Skipped(kind) => return Ok(Acted::Skipped(kind)),
    }
    .map(|act| Acted::Done(Box::new(act)))
}

/// Does `work` for each of `items`, some at once, and returns the results in the order of the items.
fn each<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let todo: Mutex<VecDeque<(usize, T)>> = Mutex::new(items.into_iter().enumerate().collect());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().ok().and_then(|mut todo| todo.pop_front());
                    let Some((number, item)) = next else {
                        return;
                    };
                    let result = work(item);
                    if let Ok(mut done) = done.lock() {
                        done.push((number, result));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn line(
    mut scenario: Scenario,
    act: Result<Acted>,
    recording: &Recording,
    without: Option<&str>,
) -> Line {
    let judged = match act {
        Err(error) => Judged::failed(format!("{error:#}")),
        Ok(Acted::Skipped(kind)) => Judged::skipped(kind),
        Ok(Acted::Done(act)) => {
            scenario.expect = scenario.expect.settled(act.hung);
            let lab = act.lab.lab();
            let findings = recording.findings(lab);
            let mut judged = judge(&scenario.expect, lab, &findings, without);
            if without.is_none()
                && let Expect::Finding(want) = scenario.expect
                && want.fixed
                && let Some(finding) = findings.iter().find(|it| it.verdict == want.verdict)
                && let Some(fix) = finding.fixes.first()
                && let Err(error) = apply(&act, &fix.commands)
            {
                judged.wrong(format!("fix \"{}\": {error:#}", fix.title));
            }
            judged
        }
    };
    Line { scenario, judged }
}

/// Does what the fix says and makes the transfer again.
fn apply(act: &Act, commands: &[String]) -> Result<()> {
    ensure!(!commands.is_empty(), "no commands");
    for command in commands {
        let output = Command::new("sh").args(["-c", command]).output()?;
        ensure!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let again = act.again.as_ref().context("it cannot be made again")?;
    ensure!(again()?, "the transfer hangs still");
    Ok(())
}
