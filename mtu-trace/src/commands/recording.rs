//! The capture that a trace keeps beside what it shows.

use std::io::{self, IsTerminal as _};

use anyhow::Result;
use rustix::system::uname;

use crate::base::clock::Clock;
use crate::capture::{CaptureOutput, PartHeader, PartStore as _, PartWriter, WriteError};
use crate::cli::Keep;
use crate::commands::output::{complain, say};
use crate::commands::{FAILED, hostname, kernel_release};
use crate::model::event::Event;
use crate::model::hook_status::HookStatus;

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
pub fn header(clock: Clock, hooks: Vec<HookStatus>) -> PartHeader {
    // The low bits of the time are all that is needed.
    let wall_ns = clock.wall.as_nanosecond().unsigned_abs();
    let recording = u64::try_from(wall_ns & u128::from(u64::MAX)).unwrap_or(0);
    PartHeader {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: hostname(),
        kernel: kernel_release(),
        machine: uname().machine().to_string_lossy().into_owned(),
        clock,
        recording: recording ^ u64::from(std::process::id()).rotate_right(16),
        part: 1,
        began_ns: clock.monotonic_ns,
        hooks,
    }
}

/// A capture that is kept, if one is to be.
pub struct KeptCapture {
    /// Where it goes, until writing begins.
    output: Option<CaptureOutput>,
    writer: Option<PartWriter<CaptureOutput>>,
    /// The name of the output, for messages.
    name: String,
    /// Whether standard output is the capture's.
    pub to_stdout: bool,
    failed: bool,
}

impl KeptCapture {
    /// Makes the file, before anything else is done that would be for nothing without it.
    pub fn prepare(options: &Keep) -> Result<Self> {
        let output = options.open()?;
        Ok(Self {
            to_stdout: output.as_ref().is_some_and(CaptureOutput::is_stdout),
            name: output.as_ref().map(CaptureOutput::name).unwrap_or_default(),
            output,
            writer: None,
            failed: false,
        })
    }

    /// Begins to write. A failure is told, and the trace goes on.
    pub fn start(&mut self, clock: Clock, hooks: Vec<HookStatus>) {
        let Some(output) = self.output.take() else {
            return;
        };
        match PartWriter::start(output, header(clock, hooks)) {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => self.fail(&WriteError::Store(error)),
        }
    }

    /// Keeps an event. A failure is told once, and the trace goes on.
    pub fn note(&mut self, event: &Event) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.note(event)
        {
            self.writer = None;
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
        let Some(writer) = self.writer.take() else {
            return;
        };
        let outcome = tokio::select! {
            biased;
            outcome = writer.finish(ended_ns, hooks) => outcome,
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

    fn fail(&mut self, error: &WriteError) {
        self.failed = true;
        let name = &self.name;
        let why = match error {
            WriteError::Encode(error) => format!("cannot write the capture to {name}: {error}"),
            WriteError::TooSlow => format!(
                "{name} takes the capture too slowly: {} MiB wait for it",
                CaptureOutput::MAX_WAITING_BYTES >> 20
            ),
            WriteError::Store(_) | WriteError::Died => error.to_string(),
        };
        complain(&format!(
            "{why}; nothing more is captured, the trace goes on"
        ));
    }

    /// The status to end with, where it would be `status` otherwise.
    pub fn status(&self, status: u8) -> u8 {
        match status {
            0 if self.failed => FAILED,
            status => status,
        }
    }
}
