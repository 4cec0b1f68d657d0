//! What wakes the loop: signals, and the time of the next screen.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// The signals that the screens heed.
pub struct Caught(Vec<(Signal, Signals)>);

impl Caught {
    /// Begins to catch them.
    pub fn new() -> Result<Self> {
        let heeded = [
            Signal::TERM,
            Signal::HUP,
            Signal::INT,
            Signal::TSTP,
            Signal::CONT,
            Signal::WINCH,
        ];
        let listen = |ours: Signal| {
            let kind = SignalKind::from_raw(ours.as_raw());
            Ok((ours, signal(kind).context("cannot listen for signals")?))
        };
        let caught: Result<_> = heeded.into_iter().map(listen).collect();
        Ok(Self(caught?))
    }

    /// Waits for one of them.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let mut caught = self.0.iter_mut();
            let caught = caught.find_map(|(signal, signals)| {
                signals.poll_recv(context).is_ready().then_some(*signal)
            });
            caught.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// When the next screen is due.
pub struct FrameRate {
    /// `None` if none is wanted.
    pub due: Option<Instant>,
    drawn: Instant,
    /// What the last one has cost.
    cost: Duration,
}

impl FrameRate {
    /// Wants the first one at once.
    pub fn new() -> Self {
        Self {
            due: Some(Instant::now()),
            drawn: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    /// Wants a screen, so long after the last one at least. One that has cost much is not followed by
    /// another at once: most of the time is the events'.
    pub fn want(&mut self, after: Duration) {
        let due = self.drawn + after.max(self.cost * 3);
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
    }

    /// One that was begun then is on the screen.
    pub fn drawn(&mut self, begun: Instant) {
        self.drawn = Instant::now();
        self.cost = begun.elapsed();
    }
}
