//! Processes that are waited for by event and with a limit.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How a process ended and what it wrote.
#[derive(Debug)]
pub struct Finished {
    /// The exit status as the kernel gave it.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// The exit code; `None` when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Runs `command` to its end and returns what it wrote.
///
/// # Errors
///
/// It cannot be started, or still runs after `limit`; then it is killed and the error quotes what it
/// had written.
pub fn finish(command: &mut Command, limit: Duration) -> Result<Finished> {
    Running::start(command)?.finish(limit)
}

/// A child process with its outputs collected; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pidfd: OwnedFd,
    outputs: Option<[JoinHandle<Vec<u8>>; 2]>,
    line: String,
}

impl Running {
    /// Starts `command` without input and with both outputs collected.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let line = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {line}"))?;
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("opening a pidfd")?;
        let stdout = child
            .stdout
            .take()
            .map(|pipe| File::from(OwnedFd::from(pipe)));
        let stderr = child
            .stderr
            .take()
            .map(|pipe| File::from(OwnedFd::from(pipe)));
        Ok(Self {
            child,
            pidfd,
            outputs: Some([collect(stdout), collect(stderr)]),
            line,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.pidfd, signal)
            .with_context(|| format!("sending {signal:?} to {}", self.line))
    }

    /// Waits until `other` can be read, or this process ends, or `limit` has passed.
    ///
    /// # Errors
    ///
    /// The kernel refuses to wait.
    pub fn wait_readable(&self, other: BorrowedFd<'_>, limit: Duration) -> Result<Wait> {
        let mut fds = [
            PollFd::from_borrowed_fd(other, PollFlags::IN),
            PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN),
        ];
        poll_until(&mut fds, Instant::now() + limit)?;
        Ok(if fds[0].revents().contains(PollFlags::IN) {
            Wait::Readable
        } else if fds[1].revents().is_empty() {
            Wait::TimedOut
        } else {
            Wait::Ended
        })
    }

    /// Waits at most `limit` for its end, and says whether it has come.
    ///
    /// # Errors
    ///
    /// The kernel refuses to wait.
    pub fn wait_ended(&self, limit: Duration) -> Result<bool> {
        ends_within(self.pidfd.as_fd(), limit)
    }

    /// Waits for its end and returns what it wrote.
    ///
    /// # Errors
    ///
    /// It still runs after `limit`; then it is killed and the error quotes what it had written.
    pub fn finish(mut self, limit: Duration) -> Result<Finished> {
        let overdue = !self.wait_ended(limit)?;
        if overdue {
            self.child
                .kill()
                .with_context(|| format!("killing {}", self.line))?;
        }
        let status = self
            .child
            .wait()
            .with_context(|| format!("waiting for {}", self.line))?;
        let [stdout, stderr] = self.outputs.take().context("the outputs were taken")?;
        let finished = Finished {
            status,
            stdout: text(stdout)?,
            stderr: text(stderr)?,
        };
        if overdue {
            bail!(
                "{} still ran after {limit:?}\nstdout: {}\nstderr: {}",
                self.line,
                finished.stdout,
                finished.stderr
            );
        }
        Ok(finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended and was waited for, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What [`Running::wait_readable`] saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Wait {
    /// The descriptor can be read.
    Readable,
    /// The process has ended.
    Ended,
    /// Neither happened in time.
    TimedOut,
}

/// Waits at most `limit` for the end of the process behind `pidfd`, and says whether it has come.
///
/// # Errors
///
/// The kernel refuses to wait.
pub fn ends_within(pidfd: BorrowedFd<'_>, limit: Duration) -> Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    poll_until(&mut fds, Instant::now() + limit)?;
    Ok(!fds[0].revents().is_empty())
}

/// Polls until a descriptor is ready or the time has come, whatever signals arrive.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], deadline: Instant) -> Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).context("the limit is too long")?,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(fds, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("polling"),
            Ok(_) => return Ok(()),
        }
    }
}

/// Reads a pipe to its end on a thread, so that a full pipe never blocks the process.
fn collect(pipe: Option<File>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn text(reader: JoinHandle<Vec<u8>>) -> Result<String> {
    let bytes = reader
        .join()
        .map_err(|_| anyhow!("reading a process's output panicked"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
