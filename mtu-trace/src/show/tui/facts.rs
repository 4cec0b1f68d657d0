//! What the screens tell beside the events: about the trace itself.

use std::path::PathBuf;

use imbl::Vector;

use crate::base::clock::Clock;
use crate::core::select::Selection;
use crate::core::verdicts::Made;
use crate::model::finding::Finding;
use crate::model::hook_status::HookStatus;
use crate::show::tui::keys::Mode;

/// About the trace or the capture.
#[derive(Clone, Debug)]
pub struct TraceFacts {
    /// Whether it happens now.
    pub mode: Mode,
    /// Name of the host that is traced.
    pub hostname: String,
    /// Release of its kernel, as `uname -r` prints it.
    pub kernel: String,
    /// Kernel time to wall time.
    pub clock: Clock,
    /// What became of each hook.
    pub hooks: Vec<HookStatus>,
    /// What the user wants to see.
    pub selection: Selection,
    /// What is recorded to a file from the start on.
    pub recording: Option<String>,
    /// What is kept to be written on request.
    pub spool: SpoolState,
    /// Events that wait for the screen's side of the program.
    pub waiting: usize,
    /// What a look at the network has found before any traffic.
    pub risks: Risks,
    /// What the user should know of the capture, in sentences.
    pub notes: Vec<String>,
    /// The capture that is played.
    pub file: Option<PathBuf>,
}

/// What is kept to be written on request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolState {
    /// No capture is kept.
    None,
    /// So many bytes so far.
    Kept(u64),
    /// It cannot be kept, for this reason.
    Failed(String),
}

/// What `check` says of the network as it was at the start.
#[derive(Clone, Debug, PartialEq)]
pub enum Risks {
    /// It is not looked at.
    None,
    /// It is being looked at.
    Pending,
    /// It was looked at; what was found is of severity `warning` or worse.
    Found(Vec<Finding>),
    /// It could not be looked at, for this reason.
    Failed(String),
}

/// How a capture is being played.
#[derive(Clone, Debug, PartialEq)]
pub struct Playing {
    /// Whether it goes on by itself.
    pub running: bool,
    /// How many times as fast as it happened: 0.1 to 100.
    pub speed: f64,
    /// Its first and last time, ns of `CLOCK_MONOTONIC`.
    pub span: (u64, u64),
    /// Whether all of it was gone through.
    pub indexed: bool,
    /// When findings were made.
    pub made: Vector<Made>,
}

impl Default for Playing {
    fn default() -> Self {
        Self {
            running: false,
            speed: 1.0,
            span: (0, 0),
            indexed: true,
            made: Vector::new(),
        }
    }
}

impl TraceFacts {
    /// The time of day of an event, to the second.
    pub(crate) fn time(&self, at_ns: u64) -> String {
        self.clock.wall(at_ns).strftime("%H:%M:%SZ").to_string()
    }

    /// The time of day of an event, to the millisecond.
    pub(crate) fn exact_time(&self, at_ns: u64) -> String {
        self.clock.wall(at_ns).strftime("%H:%M:%S%.3f").to_string()
    }
}
