//! The loop: keys, events, signals and time in, screens out.

pub(crate) mod intake;
pub(crate) mod pace;
pub(crate) mod playback;
pub(crate) mod signals;

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ratatui::crossterm::event::{self, Event as Input};
use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{MissedTickBehavior, sleep_until};

use crate::base::clock::monotonic_ns;
use crate::core::select::Selection;
use crate::host::netns::NetnsFile;
use crate::show::replay::{PlayStep, Replay};
use crate::show::tui::action::Effect;
use crate::show::tui::app::{App, Tone};
use crate::show::tui::feed::Feed;
use crate::show::tui::run::pace::FrameRate;
use crate::show::tui::run::playback::Playback;
use crate::show::tui::run::signals::Caught;
use crate::show::tui::terminal::Screen;
use crate::show::tui::{Refresh, osc52, render};
use crate::show::watch::Watch;

/// Times on the screen are told in seconds, so it is drawn anew at least this often.
const SECOND: Duration = Duration::from_secs(1);
/// Time between two screens while events come in: 20 a second.
const FRAME: Duration = Duration::from_millis(50);
/// The same after a key.
const KEY_FRAME: Duration = Duration::from_millis(15);
/// How long a key is waited for once one was heard of: with no time at all the library does not look.
const KEY_WAIT: Duration = Duration::from_millis(1);

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

/// How the screens ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The user has had enough.
    Quit,
    /// By this signal; SIGHUP also stands for a terminal that is gone.
    Signal(Signal),
    /// The trace has ended by itself, for this reason.
    Source(String),
}

/// Shows the screens until the user, a signal or the source ends them. The terminal is as before when
/// this returns. Must run on the main thread, in a tokio runtime of one thread.
///
/// # Errors
///
/// If the terminal cannot be used.
pub async fn run(
    app: &mut App,
    source: &mut Source,
    messages: impl Fn() -> Vec<String>,
) -> Result<Ending> {
    let mut signals = Caught::new()?;
    let stdin = rustix::stdio::stdin().try_clone_to_owned();
    let stdin = stdin.context("cannot wait for keys")?;
    // SAFETY: an `OwnedFd` gives the same open descriptor until it is dropped.
    let stdin = unsafe { AsyncFd::register_with_interest(stdin, Interest::READABLE) }
        .context("cannot wait for keys")?;
    let screen = Screen::take()?;
    let mut shell = Shell {
        app,
        source,
        screen,
        held: None,
        refresh: Refresh::Always,
        pace: FrameRate::new(),
        playback: Playback::new(),
    };
    let mut seconds = tokio::time::interval(SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ending = loop {
        let due = shell.pace.due();
        let turn = tokio::select! {
            biased;
            signal = signals.next() => shell.signal(signal),
            ready = stdin.readable() => match ready {
                Err(error) => Err(error),
                Ok(ready) if ready.ready().is_read_closed() => Ok(Some(Ending::Signal(Signal::HUP))),
                Ok(mut ready) => {
                    let ending = shell.keys();
                    ready.clear_ready();
                    ending
                }
            },
            () = wait_until(due) => shell.draw().map(|()| None),
            _ = seconds.tick() => {
                for message in messages() {
                    shell.app.tell(message, Tone::Error);
                    shell.pace.want(FRAME);
                }
                shell.second();
                Ok(None)
            }
            // Last: under load it is always ready.
            () = shell.ready() => Ok(shell.take_in()),
        };
        match turn {
            Ok(None) => {}
            Ok(Some(ending)) => break ending,
            // A terminal that takes or gives nothing any more is gone.
            Err(error) => {
                log::debug!("the terminal is gone: {error}");
                break Ending::Signal(Signal::HUP);
            }
        }
        // The runtime hears of keys, signals and time only while this waits, and a feed that always has
        // something more never makes it wait.
        tokio::task::yield_now().await;
    };
    drop(shell);
    Ok(ending)
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

struct Shell<'a> {
    app: &'a mut App,
    source: &'a mut Source,
    screen: Screen,
    /// What was seen when the screen was held.
    held: Option<Box<Watch>>,
    /// Whether time has passed, or something else was selected or gone to, since the lists were made.
    refresh: Refresh,
    pace: FrameRate,
    playback: Playback,
}

impl Shell<'_> {
    /// Waits until there is something to take in.
    async fn ready(&self) {
        match &*self.source {
            Source::Live { feed, .. } => feed.ready().await,
            Source::Replay(_) => std::future::pending().await,
        }
    }

    /// Handles all keys there are.
    fn keys(&mut self) -> io::Result<Option<Ending>> {
        while event::poll(KEY_WAIT)? {
            let effect = match event::read()? {
                Input::Key(key) => self.app.key(key),
                Input::Paste(text) => {
                    self.app.paste(&text);
                    None
                }
                _ => None,
            };
            self.pace.want(KEY_FRAME);
            let effect = effect.map(|effect| self.carry_out(effect)).transpose()?;
            if let Some(ending) = effect.flatten() {
                return Ok(Some(ending));
            }
            self.hold();
            // What is selected next depends on the lists of what is there now.
            if event::poll(KEY_WAIT)? {
                let watch = shown(self.source, self.held.as_deref());
                self.app.refresh(watch, std::mem::take(&mut self.refresh));
            }
        }
        Ok(None)
    }

    /// Holds what is shown, or lets it go, as the user wants it.
    fn hold(&mut self) {
        match (self.app.held, &self.held, &*self.source) {
            (Some(_), None, Source::Live { watch, .. }) => self.held = Some(watch.clone()),
            (None, Some(_), _) => self.held = None,
            _ => {}
        }
    }

    fn carry_out(&mut self, effect: Effect) -> io::Result<Option<Ending>> {
        match effect {
            Effect::Quit => return Ok(Some(Ending::Quit)),
            Effect::Suspend => self.screen.suspend()?,
            Effect::Redraw => self.screen.clear()?,
            Effect::Copy(text) => {
                self.screen.send(&osc52::copy(&text))?;
                let lines = text.lines().count();
                let s = if lines == 1 { "" } else { "s" };
                let words = format!("{lines} command{s} given to the terminal's clipboard");
                self.app.tell(words, Tone::Notice);
            }
            Effect::Write => {
                if let Source::Live { write, .. } = &*self.source {
                    self.app.tell("writing the capture so far", Tone::Notice);
                    write();
                }
            }
            Effect::Select(selection) => self.select(selection),
            Effect::Seek(to_ns) => {
                self.player(|player| {
                    player.seek(to_ns);
                    true
                });
                self.playback.moved(Some(to_ns));
            }
            Effect::StepEvent(step) => {
                if !self.player(|player| player.step_event(step)) {
                    self.app.tell(nothing(step, "event"), Tone::Notice);
                }
            }
            Effect::StepFinding(step) => {
                if !self.player(|player| player.step_finding(step)) {
                    self.app.tell(nothing(step, "finding"), Tone::Notice);
                }
            }
        }
        Ok(None)
    }

    /// Does something with the capture; false if there was nothing to do.
    fn player(&mut self, act: impl FnOnce(&mut Replay) -> bool) -> bool {
        self.playback.moved(None);
        match &mut *self.source {
            Source::Replay(player) => {
                let done = act(player);
                // The next key may come before the next screen, and goes on from here.
                self.app.now_ns = player.now_ns();
                self.refresh = Refresh::Always;
                done
            }
            Source::Live { .. } => false,
        }
    }

    fn select(&mut self, selection: Selection) {
        let outcome = match &mut *self.source {
            Source::Live { watch, .. } => selection.live(&NetnsFile::id_of).map(|scope| {
                if let Some(held) = &mut self.held {
                    held.select(scope.clone());
                }
                watch.select(scope);
            }),
            Source::Replay(player) => selection.recorded().map(|scope| player.select(scope)),
        };
        match outcome {
            Ok(()) => {
                self.app.facts.selection = selection;
                self.refresh = Refresh::Always;
            }
            Err(error) => self.app.tell(error.to_string(), Tone::Error),
        }
    }

    fn signal(&mut self, signal: Signal) -> io::Result<Option<Ending>> {
        match signal {
            Signal::TSTP => self.screen.suspend()?,
            // Whoever stopped it otherwise has left the terminal to somebody else.
            Signal::CONT => self.screen.take_again()?,
            // Its library hears of it too, and must not find it together with the next key.
            Signal::WINCH => {
                self.pace.want(KEY_FRAME);
                return self.keys();
            }
            ending => return Ok(Some(Ending::Signal(ending))),
        }
        self.pace.want(KEY_FRAME);
        Ok(None)
    }

    /// A second is over: times on the screen are to be drawn again.
    fn second(&mut self) {
        self.app.tick(monotonic_ns());
        self.refresh = Refresh::Always;
        self.pace.want(FRAME);
    }

    fn draw(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        self.pace.begin();
        self.app.tick(monotonic_ns());
        if let Source::Replay(player) = &mut *self.source {
            let before_ns = player.now_ns();
            self.playback.go_on(player, &mut self.app.playing, begun);
            if player.now_ns() != before_ns {
                self.refresh = Refresh::Always;
            }
            self.app.facts.notes = player.notes();
        }
        let app = &mut *self.app;
        let watch = shown(self.source, self.held.as_deref());
        app.now_ns = match &*self.source {
            Source::Live { .. } if self.held.is_none() => app.clock_ns,
            Source::Live { .. } => watch.now_ns(),
            Source::Replay(player) => player.now_ns(),
        };
        app.refresh(watch, std::mem::take(&mut self.refresh));
        self.screen.draw(|frame| render::draw(frame, app, watch))?;
        self.pace.drawn(begun);
        if self.app.playing.running || !self.app.playing.indexed {
            self.pace.want(FRAME);
        }
        Ok(())
    }
}

/// What is said where a step leads nowhere.
fn nothing(step: PlayStep, what: &str) -> String {
    let way = match step {
        PlayStep::Forward => "after",
        PlayStep::Back => "before",
    };
    format!("no {what} is known {way} this moment")
}

/// What is on the screen.
fn shown<'a>(source: &'a Source, held: Option<&'a Watch>) -> &'a Watch {
    match (held, source) {
        (Some(held), _) => held,
        (None, Source::Live { watch, .. }) => watch,
        (None, Source::Replay(player)) => player.watch(),
    }
}
