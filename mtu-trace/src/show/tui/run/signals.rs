//! The signals that the screens heed.

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// The signals that matter.
pub struct Caught([(Signal, Signals); 6]);

impl Caught {
    /// Begins to catch them.
    ///
    /// # Errors
    ///
    /// The kernel does not let us.
    pub fn new() -> Result<Self> {
        let listen = |ours: Signal| -> Result<(Signal, Signals)> {
            let kind = SignalKind::from_raw(ours.as_raw());
            Ok((ours, signal(kind).context("cannot listen for signals")?))
        };
        Ok(Self([
            listen(Signal::TERM)?,
            listen(Signal::HUP)?,
            listen(Signal::INT)?,
            listen(Signal::TSTP)?,
            listen(Signal::CONT)?,
            listen(Signal::WINCH)?,
        ]))
    }

    /// Waits for one of them.
    pub async fn next(&mut self) -> Signal {
        let [a, b, c, d, e, f] = &mut self.0;
        tokio::select! {
            _ = a.1.recv() => a.0,
            _ = b.1.recv() => b.0,
            _ = c.1.recv() => c.0,
            _ = d.1.recv() => d.0,
            _ = e.1.recv() => e.0,
            _ = f.1.recv() => f.0,
        }
    }
}
