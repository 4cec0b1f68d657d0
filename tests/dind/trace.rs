//! `mtu-trace record` beside a build, and what it says while and after it runs.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use lab::patience::patient;
use lab::report::{Finding, Report};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use super::remains::wait_ended;

/// How long attaching may take.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long a stall may take to be named, from the start of a build.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// How long one may take to its end: that of a build that it traces, and its report.
const END_LIMIT: Duration = Duration::from_secs(90);
/// Ends a trace that nobody stops.
const DURATION: &str = "120s";

/// What every trace is started with, before its duration.
pub const RECORD: [&str; 3] = ["record", "--format", "json"];

/// A trace that is ready.
pub struct Trace {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    report: Option<JoinHandle<String>>,
}

/// A report, as the contract's types have it and as it was written.
pub struct Told {
    /// The status with which mtu-trace ended.
    pub status: ExitStatus,
    /// What it said on standard error.
    pub said: Vec<String>,
    /// Findings that name something of the host.
    pub findings: Vec<(Finding, Value)>,
}

impl Trace {
    /// Starts one, with more arguments and perhaps a command to trace.
    pub fn start(binary: &Path, arguments: &[&str], command: Option<&Command>) -> Result<Self> {
        let mut record = Command::new(binary);
        record.args(RECORD).args(["--duration", DURATION]);
        record.args(arguments);
        if let Some(command) = command {
            record
                .arg("--")
                .arg(command.get_program())
                .args(command.get_args());
        }
        Self::start_record(&record)
    }

    /// Starts a command that runs `mtu-trace record` somewhere else, with [`RECORD`]'s arguments.
    pub fn start_record(command: &Command) -> Result<Self> {
        let mut record = Command::new("setpriv");
        record
            // However this program ends, the trace does.
            .args(["--pdeathsig", "INT"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            record.env(name, value.unwrap_or_default());
        }
        let mut child = record
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start setpriv")?;
        let mut stdout = child.stdout.take().context("a pipe for the report")?;
        let stderr = child.stderr.take().context("a pipe for messages")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let report = thread::spawn(move || {
            let mut text = String::new();
            // What was read before an error is still worth showing.
            let _ = stdout.read_to_string(&mut text);
            text
        });
        let mut trace = Self {
            child,
            lines,
            said: Vec::new(),
            report: Some(report),
        };
        trace.wait_for(&["mtu-trace: ready"], READY_LIMIT)?;
        Ok(trace)
    }

    /// Waits until it names a stall at a place whose name has `whose` in it: others on this machine
    /// may stall as well.
    pub fn stall(&mut self, whose: &str) -> Result<()> {
        self.wait_for(&["is stalled", whose], STALL_LIMIT)
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    fn wait_for(&mut self, words: &[&str], limit: Duration) -> Result<()> {
        let limit = patient(limit);
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = words.iter().all(|word| line.contains(word));
                    self.said.push(line);
                    if found {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!(
                    "mtu-trace did not say {words:?} in {limit:?}:\n{}",
                    self.said.join("\n")
                ),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("mtu-trace ended:\n{}", self.said.join("\n"))
                }
            }
        }
    }

    /// Stops it as Ctrl-C does, and reads the report: what it says of the host `id`.
    pub fn stop(self, id: &str) -> Result<Told> {
        kill_process(Pid::from_child(&self.child), Signal::INT).context("stopping mtu-trace")?;
        self.finish(id)
    }

    /// Waits for its end.
    pub fn finish(mut self, id: &str) -> Result<Told> {
        let pid = Pid::from_child(&self.child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).context("opening a pidfd")?;
        wait_ended(&ended, patient(END_LIMIT)).context("mtu-trace")?;
        let text = self
            .report
            .take()
            .context("the report is read once")?
            .join()
            .map_err(|_| anyhow!("reading the report panicked"))?;
        let status = self.child.wait().context("waiting for mtu-trace")?;
        let mut said = std::mem::take(&mut self.said);
        said.extend(self.lines.iter());
        let report: Report = serde_json::from_str(&text).with_context(|| {
            format!(
                "mtu-trace ended with {status} and no report:\n{}",
                said.join("\n")
            )
        })?;
        let value: Value = serde_json::from_str(&text).context("the report is JSON")?;
        let values = value["findings"].as_array().cloned().unwrap_or_default();
        // Of other labs' faults on this machine it may tell as well.
        let findings = report
            .findings
            .into_iter()
            .zip(values)
            .filter(|(_, value)| value.to_string().contains(id))
            .collect();
        Ok(Told {
            status,
            said,
            findings,
        })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Both fail when it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
