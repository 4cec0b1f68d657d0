//! The tracer beside a lab: started, known to be ready, stopped, and its report read.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::inotify;
use rustix::process::Signal;

use crate::patience::patient;
use crate::process::{Finished, Running, Wait};
use crate::report::{Finding, Report, SCHEMA};
use crate::scratch::Scratch;
use crate::usage::Usage;
use crate::{Lab, Netns, binary};

/// How long attaching every hook may take on a machine that runs many tests at once.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long the report may take after the signal.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Ends a tracer that nobody stops.
const DURATION: &str = "60s";
/// How often a tracer's usage is looked at that is waited for.
const USAGE_AGAIN: Duration = Duration::from_millis(20);

/// `mtu-trace record` at work.
#[derive(Debug)]
pub struct Tracer {
    running: Running,
    scratch: Scratch,
}

impl Tracer {
    /// Starts the binary under test with `--format json` and `options`, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It ends or says nothing before it is ready.
    pub fn start(options: &[&str]) -> Result<Self> {
        Self::start_binary(
            &binary::mtu_trace(),
            &[&["--format", "json"], options].concat(),
        )
    }

    /// Starts `binary record` with `options` and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It ends or says nothing before it is ready.
    pub fn start_binary(binary: &Path, options: &[&str]) -> Result<Self> {
        Self::start_for(DURATION, binary, options)
    }

    /// The binary under test as a root who lacks a capability, such as `syslog`; waits until it is ready.
    ///
    /// # Errors
    ///
    /// As [`Tracer::start`].
    pub fn start_without(capability: &str, options: &[&str]) -> Result<Self> {
        let mut command = Command::new("setpriv");
        command
            .args(["--bounding-set", &format!("-{capability}")])
            .arg(binary::mtu_trace());
        Self::start_command(
            command,
            DURATION,
            &[&["--format", "json"], options].concat(),
        )
    }

    /// The same with another time after which it ends by itself.
    ///
    /// # Errors
    ///
    /// As [`Tracer::start_binary`].
    pub fn start_for(duration: &str, binary: &Path, options: &[&str]) -> Result<Self> {
        Self::start_command(Command::new(binary), duration, options)
    }

    fn start_command(mut command: Command, duration: &str, options: &[&str]) -> Result<Self> {
        let scratch = Scratch::new()?;
        let ready = scratch.path().join("ready");
        let watch = watch(scratch.path())?;
        command
            .args(["record", "--duration", duration, "--ready-file"])
            .arg(&ready)
            .args(options);
        let running = Running::start(&mut command)?;
        let tracer = Self { running, scratch };
        match await_file(&tracer.running, &watch, &ready)? {
            Wait::Readable => Ok(tracer),
            Wait::Ended => {
                let finished = tracer.finish()?;
                bail!(
                    "the tracer ended ({}) before it was ready:\n{}",
                    finished.status,
                    finished.stderr
                )
            }
            Wait::TimedOut => {
                // SIGINT rather than SIGKILL: what it says then may tell why.
                tracer.running.signal(Signal::INT)?;
                let finished = tracer.finish()?;
                bail!(
                    "the tracer was not ready after {:?}:\n{}",
                    patient(READY_LIMIT),
                    finished.stderr
                )
            }
        }
    }

    /// What it takes of the machine, as soon as `enough` says so or `limit` has passed.
    ///
    /// # Errors
    ///
    /// It ends meanwhile.
    pub fn usage(&self, limit: Duration, enough: impl Fn(&Usage) -> bool) -> Result<Usage> {
        let deadline = Instant::now() + limit;
        loop {
            let usage = Usage::of(self.pid())?;
            if enough(&usage) || Instant::now() >= deadline {
                return Ok(usage);
            }
            // Nothing tells of a descriptor that closes: look again a moment later.
            if self.running.wait_ended(USAGE_AGAIN)? {
                bail!("the tracer ended");
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Sends it `signal` and waits for its end.
    ///
    /// # Errors
    ///
    /// It has ended already, or does not end.
    pub fn end_by(self, signal: Signal) -> Result<Finished> {
        self.running.signal(signal)?;
        self.finish()
    }

    /// Stops it as Ctrl-C does and reads its report.
    ///
    /// # Errors
    ///
    /// It fails, or its report is not what the contract says.
    pub fn stop(self) -> Result<Recording> {
        self.stop_beside(1)
    }

    /// The same, as one of so many `tracers` that stop at the same time: each takes its programs off
    /// every device, one after the other, under a lock of the whole kernel.
    ///
    /// # Errors
    ///
    /// It fails, or its report is not what the contract says.
    pub fn stop_beside(self, tracers: u32) -> Result<Recording> {
        self.running.signal(Signal::INT)?;
        Recording::read(self.finish_within(STOP_LIMIT * tracers)?)
    }

    fn finish(self) -> Result<Finished> {
        self.finish_within(STOP_LIMIT)
    }

    fn finish_within(self, limit: Duration) -> Result<Finished> {
        let Self { running, scratch } = self;
        let finished = running.finish(patient(limit));
        drop(scratch);
        finished
    }
}

/// Traces while `work` runs. What `work` returns lives until the tracer has stopped, so that a stalled
/// connection is still there when the report is made.
///
/// # Errors
///
/// `work` fails, or the tracer does.
pub fn record<T>(work: impl FnOnce() -> Result<T>) -> Result<(Recording, T)> {
    let tracer = Tracer::start(&[])?;
    let result = work()?;
    Ok((tracer.stop()?, result))
}

/// A report and all that the tracer wrote.
#[derive(Debug)]
pub struct Recording {
    /// The report.
    pub report: Report,
    /// How the tracer ended, and what it wrote.
    pub finished: Finished,
}

impl Recording {
    /// Reads the report of a tracer that has ended with status 0.
    ///
    /// # Errors
    ///
    /// Another status, or a report that is not what the contract says.
    pub fn read(finished: Finished) -> Result<Self> {
        ensure!(
            finished.code() == Some(0),
            "the tracer failed: {finished:?}"
        );
        Self::read_whatever_the_status(finished)
    }

    /// Reads the report of a tracer that passes on another program's status.
    ///
    /// # Errors
    ///
    /// The report is not what the contract says.
    pub fn read_whatever_the_status(finished: Finished) -> Result<Self> {
        let report: Report = serde_json::from_str(&finished.stdout)
            .with_context(|| format!("the report is not the contract's: {finished:?}"))?;
        ensure!(
            report.schema == SCHEMA,
            "the report's schema is {}",
            report.schema
        );
        Ok(Self { report, finished })
    }

    /// The findings that touch a namespace of `lab`. Others may be of tests that run at the same time.
    #[must_use]
    pub fn findings(&self, lab: &Lab) -> Vec<&Finding> {
        let own = |finding: &&Finding| {
            finding
                .namespaces()
                .any(|id| lab.namespaces().any(|netns| id.is(netns)))
        };
        self.report.findings.iter().filter(own).collect()
    }

    /// Everything the tracer wrote, for the message of a failing test.
    #[must_use]
    pub fn everything(&self) -> String {
        format!(
            "report: {}\nstderr: {}",
            self.finished.stdout, self.finished.stderr
        )
    }
}

impl crate::report::NetnsId {
    /// Whether this names `netns`. Its number says so only where it has no name: the kernel gives that of
    /// a namespace that is gone to the next, which may be another lab's.
    #[must_use]
    pub fn is(&self, netns: &Netns) -> bool {
        match &self.name {
            Some(name) => name == netns.name(),
            None => self.inode == netns.inode(),
        }
    }
}

fn watch(directory: &Path) -> Result<OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .context("making an inotify instance")?;
    let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, directory, events)
        .with_context(|| format!("watching {}", directory.display()))?;
    Ok(watch)
}

fn await_file(running: &Running, watch: &OwnedFd, file: &Path) -> Result<Wait> {
    let deadline = Instant::now() + patient(READY_LIMIT);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = running.wait_readable(watch.as_fd(), left)?;
        if file.exists() {
            return Ok(Wait::Readable);
        }
        if waited != Wait::Readable {
            return Ok(waited);
        }
        // Another file, such as one that is about to be renamed: take the event and wait on.
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(watch, &mut buffer);
        reader.next().context("reading inotify events")?;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::process::Signal;

    use super::Tracer;
    use crate::scratch::Scratch;

    /// Runs a shell script in the tracer's place; its fifth argument is the ready file's path.
    fn start(script: &str) -> anyhow::Result<Tracer> {
        let scratch = Scratch::new()?;
        let source = scratch.path().join("source");
        fs::write(&source, format!("#!/bin/sh\n{script}\n"))?;
        let stand_in = scratch.install(&source, "tracer")?;
        Tracer::start_binary(&stand_in, &[])
    }

    #[test]
    fn one_that_fails_says_why() {
        let error = start("echo the reason >&2; exit 1").unwrap_err();
        assert!(format!("{error:#}").contains("the reason"), "{error:#}");
    }

    #[test]
    fn one_that_is_ready_is_waited_for_and_stopped() {
        // Another file first, and the ready file by renaming, as a careful program makes it. A shell that
        // is started in the background cannot trap SIGINT, as POSIX has it.
        let script = r#"trap 'echo stopped; exit 4' TERM
            touch "$5.new"; mv "$5.new" "$5"
            while :; do sleep 0.01; done"#;
        let finished = start(script).unwrap().end_by(Signal::TERM).unwrap();
        assert_eq!(
            (finished.code(), finished.stdout.as_str()),
            (Some(4), "stopped\n")
        );
    }
}
