//! When a screen is drawn.

use std::time::{Duration, Instant};

/// When the next screen is due.
pub struct FrameRate {
    due: Option<Instant>,
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

    /// When that is, if one is wanted.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// One is being drawn: none is wanted any more.
    pub fn begin(&mut self) {
        self.due = None;
    }

    /// One that was begun then is on the screen.
    pub fn drawn(&mut self, begun: Instant) {
        self.drawn = Instant::now();
        self.cost = begun.elapsed();
    }
}
