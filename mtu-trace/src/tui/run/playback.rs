//! A capture that is played: how far it goes from one screen to the next.

use std::time::Instant;

use crate::{replay::Replay, tui::facts::Playing};

/// Where playing has come to.
pub struct Playback {
    /// When the capture was played on last.
    played: Instant,
    /// The time that was asked for, ns, which may not have been read yet.
    sought: Option<u64>,
}

impl Playback {
    /// Begins now.
    pub fn new() -> Self {
        Self {
            played: Instant::now(),
            sought: None,
        }
    }

    /// The user has gone elsewhere; to `sought`, ns, as soon as that has been read.
    pub fn moved(&mut self, sought: Option<u64>) {
        self.played = Instant::now();
        self.sought = sought;
    }

    /// Plays a capture on by as much as has passed.
    pub fn go_on(&mut self, player: &mut Replay, playing: &mut Playing, now: Instant) {
        let passed = now.duration_since(self.played);
        self.played = now;
        let indexed = player.is_indexed();
        let (start, end) = player.span();
        if let Some(to_ns) = self.sought {
            if player.now_ns() < to_ns.min(end) {
                player.seek(to_ns);
            }
            self.sought = (!indexed).then_some(to_ns);
        } else if playing.running {
            let ns = passed.mul_f64(playing.speed).as_nanos();
            let to = player.now_ns() + u64::try_from(ns).unwrap_or(u64::MAX >> 1);
            player.seek(to.min(end));
            playing.running = player.now_ns() < end || !indexed;
        }
        playing.span = (start, end);
        playing.indexed = indexed;
        playing.made = player.made();
    }
}
