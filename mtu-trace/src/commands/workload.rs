//! The command that is traced while it runs.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// The status of a command that cannot be found, as shells have it.
const NOT_FOUND: u8 = 127;
/// The status of a command that cannot be run, as shells have it.
const NOT_EXECUTABLE: u8 = 126;

pub struct Workload {
    child: Child,
}

impl Workload {
    /// Starts a command with this standard output; if it cannot be started, the error is the status to
    /// end with, and why.
    pub fn start(words: &[OsString], stdout: Stdio) -> Result<Self, (u8, anyhow::Error)> {
        let [program, arguments @ ..] = words else {
            return Err((NOT_FOUND, anyhow::anyhow!("no command to run")));
        };
        let mut command = Command::new(program);
        command.args(arguments).stdout(stdout);
        let child = command.spawn().map_err(|error| {
            let status = match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_EXECUTABLE,
            };
            let what = format!("cannot run {}", program.to_string_lossy());
            (status, anyhow::Error::new(error).context(what))
        })?;
        Ok(Self { child })
    }

    /// Waits for its end, and gives its status; may be called again.
    pub async fn wait(&mut self) -> Result<u8> {
        let status = self.child.wait().await;
        status.map(code).context("cannot wait for the command")
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            let _gone = kill_process(pid, signal);
        }
    }
}

/// A status as shells give it: 128 plus the signal's number for a command ended by one.
fn code(status: ExitStatus) -> u8 {
    let signal = || status.signal().map(|signal| 128 + signal);
    let code = status.code().or_else(signal).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}
