//! The capture that `record` keeps beside its report.

use std::{
    future::Future,
    io::{self, IsTerminal as _},
};

use anyhow::Result;
use rustix::system::uname;

use crate::{
    base::clock::Clock,
    capture::{Destination, Header, Recorder},
    cli::Keep,
    commands::{
        FAILED, host,
        output::{complain, say},
    },
    model::{event::Event, hook_status::HookStatus},
};

/// What is wrong with what is asked for.
pub fn misuse(options: &Keep) -> Option<&'static str> {
    if options.output.as_ref()?.as_os_str() != "-" {
        return None;
    }
    if options.max_size.is_some() {
        return Some("standard output cannot be split: --max-size needs --output FILE");
    }
    io::stdout().is_terminal().then_some(
        "a capture is no text: send standard output to a file or a program, or give --output the \
         name of a file",
    )
}

/// How a capture of this trace begins.
pub fn header(clock: Clock, hooks: Vec<HookStatus>) -> Header {
    // The low bits of the time are all that is needed.
    let wall_ns = clock.wall.as_nanosecond().unsigned_abs();
    let recording = u64::try_from(wall_ns & u128::from(u64::MAX)).unwrap_or(0);
    Header {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: host::hostname(),
        kernel: host::kernel_release(),
        machine: uname().machine().to_string_lossy().into_owned(),
        clock,
        recording: recording ^ u64::from(std::process::id()).rotate_right(16),
        part: 1,
        began_ns: clock.monotonic_ns,
        hooks,
    }
}

/// A capture that is kept, if one is to be.
pub struct Recording {
    destination: Option<Destination>,
    recorder: Option<Recorder>,
    to_stdout: bool,
    failed: bool,
}

impl Recording {
    /// Makes the file, before anything else is done that would be for nothing without it.
    pub fn prepare(options: &Keep) -> Result<Self> {
        let destination = options
            .output
            .as_deref()
            .map(|path| Destination::open(path, options.limits(), options.force))
            .transpose()?;
        Ok(Self {
            to_stdout: destination.as_ref().is_some_and(Destination::is_stdout),
            destination,
            recorder: None,
            failed: false,
        })
    }

    /// Whether standard output is the capture's.
    pub fn to_stdout(&self) -> bool {
        self.to_stdout
    }

    /// Begins to write. A failure is told, and the trace goes on.
    pub fn start(&mut self, clock: Clock, hooks: Vec<HookStatus>) {
        let Some(destination) = self.destination.take() else {
            return;
        };
        match Recorder::start(destination, header(clock, hooks)) {
            Ok(recorder) => self.recorder = Some(recorder),
            Err(error) => self.fail(&error),
        }
    }

    /// Keeps an event. A failure is told once, and the trace goes on.
    pub fn note(&mut self, event: &Event) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.note(event)
        {
            self.recorder = None;
            self.fail(&error);
        }
    }

    /// Writes the end, and waits until all is written or `give_up` is ready.
    pub async fn finish(
        &mut self,
        ended_ns: u64,
        hooks: Vec<HookStatus>,
        give_up: impl Future<Output = ()>,
    ) {
        let Some(recorder) = self.recorder.take() else {
            return;
        };
        let outcome = tokio::select! {
            biased;
            outcome = recorder.finish(ended_ns, hooks) => outcome,
            () = give_up => {
                self.failed = true;
                say("the end of the capture was not written: nothing takes it");
                return;
            }
        };
        if let Err(error) = outcome {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &anyhow::Error) {
        self.failed = true;
        complain(&format!(
            "{error:#}; nothing more is captured, the trace goes on"
        ));
    }

    /// The status to end with, where it would be `status` otherwise.
    pub fn status(&self, status: u8) -> u8 {
        if self.failed && status == 0 {
            FAILED
        } else {
            status
        }
    }
}
