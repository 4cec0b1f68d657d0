//! What each command does: its `run` gives the exit status.

mod check;
mod completions;
mod doctor;
mod explain;
mod export;
mod live;
mod man;
mod output;
mod record;
mod recording;
mod replay;
mod report;
mod trace;
mod workload;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::Signal;
use rustix::system::uname;

use crate::base::clock::Clock;
use crate::cli::{Cli, Command, Tracing};
use crate::core::select::SelectError;
use crate::core::verdicts::Analysis;
use crate::kernel::{BtfError, Effective, LoadOptions};
use crate::model::finding::Severity;
use crate::model::store::Evictions;
use crate::show::report::{Capture, Report};

/// Exit status of a failure.
const FAILED: u8 = 1;
/// Exit status of a wrong command line, as clap has it.
const USAGE: u8 = 2;
/// Exit status with `--exit-code` when something stands that is bad enough.
const FOUND: u8 = 3;

/// Runs the command that the process' arguments name, and says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or_else(|| Command::Live(Box::default()));
    let result = match command {
        Command::Live(options) => live::run(&options, cli.color),
        Command::Replay(options) => replay::run(&options, cli.color),
        Command::Record(options) => record::run(&options, cli.color),
        Command::Report(options) => report::run(&options, cli.color),
        Command::Export(options) => export::run(&options),
        Command::Check(options) => check::run(&options, cli.color),
        Command::Doctor(options) => doctor::run(&options, cli.color),
        Command::Explain(options) => explain::run(&options, cli.color),
        Command::Completions(options) => completions::run(&options),
        Command::Man(options) => man::run(&options),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        // Whoever closed the pipe has read what they wanted.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(SelectError::Filter(wrong)) = error.downcast_ref() {
                output::say(&wrong.pointed());
                return ExitCode::from(USAGE);
            }
            output::complain(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|it| it.downcast_ref());
    causes.any(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The kernel's release, such as `6.18.44`.
fn kernel_release() -> String {
    uname().release().to_string_lossy().into_owned()
}

fn hostname() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// What a report says of a look at this host that has just ended; of its events, nothing yet.
fn looked_at(started: Clock, ended_ns: u64) -> Capture {
    Capture {
        started: started.wall,
        duration_s: seconds(ended_ns.saturating_sub(started.monotonic_ns)),
        kernel: kernel_release(),
        hostname: hostname(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        selection: None,
        hooks: Vec::new(),
        events: 0,
        lost_events: 0,
        evictions: Evictions::default(),
        notes: Vec::new(),
    }
}

/// The report of what was recorded, once all of it is analysed.
fn concluded(analysis: &Analysis, mut capture: Capture, clock: Clock) -> Report {
    capture.selection = analysis.selected();
    capture.events = analysis.state().events;
    capture.lost_events = analysis.state().lost;
    capture.evictions = analysis.state().evictions.clone();
    capture.notes.extend(analysis.notes());
    Report {
        capture,
        findings: analysis.findings(),
        clock,
        audit: None,
    }
}

/// Whether a finding of at least this severity stands.
fn stands(report: &Report, least: Severity) -> bool {
    let findings = &report.findings;
    findings.iter().any(|finding| finding.severity >= least)
}

/// 128 plus its number, as shells have it.
fn signal_status(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(FAILED)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a duration for people and programs to read"
)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn load_options(tracing: &Tracing) -> LoadOptions {
    let (log_level, level) = match tracing.kernel_log {
        true => (log::Level::Trace as u8, "trace"),
        false => (0, "warn"),
    };
    output::log_to_stderr(level);
    LoadOptions {
        btf: tracing.btf.clone(),
        without: tracing.without.clone(),
        mechanism: tracing.mechanism,
        memory_bytes: tracing.memory,
        log_level,
    }
}

/// Why the kernel refuses BPF to a root who lacks nothing.
const LOCKED_DOWN: &str =
    "the kernel refuses BPF to root: it is locked down, or a seccomp or security module forbids it";

/// What to do about a kernel that lets us do nothing, in one line; `otherwise` is what is said to a
/// root who lacks no capability.
fn explain_refusal(error: anyhow::Error, otherwise: &'static str) -> anyhow::Error {
    let cause = error.root_cause().to_string();
    let denials = ["Operation not permitted", "Permission denied"];
    let denied = denials.iter().any(|words| cause.contains(words));
    if !denied || error.is::<BtfError>() {
        return error;
    }
    if !rustix::process::geteuid().is_root() {
        return anyhow::anyhow!("this needs root: run it with sudo ({cause})");
    }
    let missing = Effective::current().map_or_else(|_| Vec::new(), |found| found.missing());
    if missing.is_empty() {
        error.context(otherwise)
    } else {
        anyhow::anyhow!("this root lacks {}: {error:#}", missing.join(", "))
    }
}
