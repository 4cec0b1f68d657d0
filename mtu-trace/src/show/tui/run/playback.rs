//! A capture that is played: how far it goes from one screen to the next.

use std::time::Instant;

use crate::show::replay::Replay;
use crate::show::tui::facts::Playing;

/// Where playing has come to.
pub struct Playback {
    /// When the capture was played on last.
    played: Instant,
    /// The time that was asked for, ns, which may not have been read yet.
    sought: Option<u64>,
}

impl Playback {
    /// Playback that begins at the present moment.
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
            // Once it is shown, playing goes on from there, however much is yet to be read.
            self.sought = (!indexed && player.now_ns() < to_ns).then_some(to_ns);
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::thread;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::base::clock::Clock;
    use crate::capture::{Encoder, PartHeader};
    use crate::core::select::Scope;
    use crate::model::event::{Event, EventKind};

    const NS_PER_S: u64 = 1_000_000_000;

    /// The beginning of a capture: ticks of a hundred seconds and more.
    fn beginning() -> Vec<u8> {
        let mut encoder = Encoder::new(PartHeader {
            tool_version: String::new(),
            hostname: String::new(),
            kernel: String::new(),
            machine: "x86_64".to_owned(),
            clock: Clock {
                wall: jiff::Timestamp::UNIX_EPOCH,
                monotonic_ns: 0,
            },
            recording: 7,
            part: 1,
            began_ns: 0,
            hooks: Vec::new(),
        });
        let mut bytes = encoder.opening().unwrap();
        for tick in 0..1100 {
            let event = Event {
                time_ns: tick * NS_PER_S / 10,
                kind: EventKind::Tick,
            };
            encoder.event(&event, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn what_is_yet_to_be_read_does_not_keep_it_from_playing() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let to = path.clone();
        let writer = thread::spawn(move || {
            let mut pipe = File::options().write(true).open(to).unwrap();
            pipe.write_all(&beginning()).unwrap();
            pipe
        });
        let mut player = Replay::open(&path, Scope::default()).unwrap();
        // More may come as long as this is open.
        let pipe = writer.join().unwrap();
        while player.span().1 == 0 {
            thread::yield_now();
        }
        let mut playing = Playing {
            running: true,
            ..Playing::default()
        };
        let mut playback = Playback::new();
        // As Home does.
        playback.moved(Some(0));
        let now = Instant::now();
        playback.go_on(&mut player, &mut playing, now);
        playback.go_on(&mut player, &mut playing, now + Duration::from_secs(5));
        assert!(!player.is_indexed());
        assert_eq!(player.now_ns(), 5 * NS_PER_S);
        // As End does: there is no end yet, so that is gone to as it comes.
        playback.moved(Some(u64::MAX));
        for _ in 0..2 {
            playback.go_on(&mut player, &mut playing, now + Duration::from_secs(6));
            assert_eq!(player.now_ns(), player.span().1);
        }
        drop(pipe);
        player.index();
        playback.go_on(&mut player, &mut playing, now + Duration::from_secs(6));
        assert_eq!(player.now_ns(), NS_PER_S / 10 * 1099);
    }
}
