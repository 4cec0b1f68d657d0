//! What the commands that trace have in common.

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// What runs a trace, on the thread that asks for it.
pub fn runtime() -> Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    runtime.context("cannot start the async runtime")
}

/// The signals that end a trace.
pub struct Interrupts {
    interrupt: Signals,
    terminate: Signals,
    hangup: Signals,
}

impl Interrupts {
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one of somebody who does not want to wait any longer. A hangup is none: it comes twice
    /// from many a terminal that is closed.
    pub async fn insists(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
        }
    }
}
