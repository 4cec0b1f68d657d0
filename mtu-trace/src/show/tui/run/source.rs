//! Where the screens' contents come from: a trace, whose events are taken in, or a capture that is played.

use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use crate::show::replay::Replay;
use crate::show::tui::app::App;
use crate::show::tui::facts::Playing;
use crate::show::tui::feed::{Feed, FeedItem};
use crate::show::tui::run::{Ending, FRAME, Shell};
use crate::show::watch::Watch;

/// Where the screens' contents come from.
pub enum Source {
    /// From a trace that goes on.
    Live {
        /// All that was seen so far.
        watch: Box<Watch>,
        /// What the tracing thread hands over.
        feed: Feed,
        /// Has the capture so far written to a file.
        write: Box<dyn Fn()>,
    },
    /// What is shown comes from a capture.
    Replay(Box<Replay>),
}

/// How long events are taken in before keys are looked at again.
const INTAKE: Duration = Duration::from_millis(20);

impl Shell<'_> {
    /// Takes in what has come, for a while.
    pub(crate) fn take_in(&mut self) -> Option<Ending> {
        let Source::Live { watch, feed, .. } = &mut *self.source else {
            return None;
        };
        let begun = Instant::now();
        let version = watch.version;
        let (mut ending, mut changed) = (None, false);
        while ending.is_none() && begun.elapsed() < INTAKE {
            match feed.next() {
                Ok(FeedItem::Events(events)) => events.iter().for_each(|it| watch.apply(it)),
                Ok(FeedItem::Ended(why)) => {
                    let why = why.unwrap_or_else(|| "the trace has ended".to_owned());
                    ending = Some(Ending::Source(why));
                }
                Ok(told) => changed |= note(self.app, told),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    ending = Some(Ending::Source("the thread that traces has died".to_owned()));
                }
            }
        }
        // What is on the way for a moment is not told.
        let mut waiting = 0;
        if begun.elapsed() >= INTAKE {
            feed.again();
            waiting = feed.waiting();
        }
        changed |= waiting != self.app.facts.waiting;
        self.app.facts.waiting = waiting;
        if let Some(held) = &self.held {
            let before = held.analysis.state().events;
            let since = watch.analysis.state().events.saturating_sub(before);
            changed |= self.app.held != Some(since);
            self.app.held = Some(since);
        }
        if changed || (watch.version != version && self.held.is_none()) {
            self.pace.want(FRAME);
        }
        ending
    }
}

/// Takes in what is no event; says whether the screen changes by it.
fn note(app: &mut App, told: FeedItem) -> bool {
    match told {
        FeedItem::Risks(risks) => app.facts.risks = risks,
        FeedItem::Said(text, role) => app.tell(text, role),
        FeedItem::Spool(spool) => {
            let before = std::mem::replace(&mut app.facts.spool, spool);
            return before != app.facts.spool;
        }
        FeedItem::Events(_) | FeedItem::Ended(_) => {}
    }
    true
}

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
            if player.now_ns < to_ns.min(end) {
                player.seek(to_ns);
            }
            // Once it is shown, playing goes on from there, however much is yet to be read.
            self.sought = (!indexed && player.now_ns < to_ns).then_some(to_ns);
        } else if playing.running {
            let ns = passed.mul_f64(playing.speed).as_nanos();
            let to = player.now_ns + u64::try_from(ns).unwrap_or(u64::MAX >> 1);
            player.seek(to.min(end));
            playing.running = player.now_ns < end || !indexed;
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
        assert_eq!(player.now_ns, 5 * NS_PER_S);
        // As End does: there is no end yet, so that is gone to as it comes.
        playback.moved(Some(u64::MAX));
        for _ in 0..2 {
            playback.go_on(&mut player, &mut playing, now + Duration::from_secs(6));
            assert_eq!(player.now_ns, player.span().1);
        }
        drop(pipe);
        player.index();
        playback.go_on(&mut player, &mut playing, now + Duration::from_secs(6));
        assert_eq!(player.now_ns, NS_PER_S / 10 * 1099);
    }
}
