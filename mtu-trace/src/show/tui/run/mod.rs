//! The loop: keys, events, signals and time in, screens out.

pub(crate) mod source;
pub(crate) mod wake;

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
use crate::show::tui::app::{App, Effect};
use crate::show::tui::render;
use crate::show::tui::run::source::Playback;
pub use crate::show::tui::run::source::Source;
use crate::show::tui::run::wake::{Caught, FrameRate};
use crate::show::tui::terminal::Screen;
use crate::show::tui::text::several;
use crate::show::tui::theme::Role;
use crate::show::watch::Watch;

/// Times on the screen are told in seconds, so it is drawn anew at least this often.
const SECOND: Duration = Duration::from_secs(1);
/// Time between two screens while events come in: 20 a second.
const FRAME: Duration = Duration::from_millis(50);
/// The same after a key.
const KEY_FRAME: Duration = Duration::from_millis(15);
/// How long a key is waited for once one was heard of: with no time at all the library does not look.
const KEY_WAIT: Duration = Duration::from_millis(1);

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
        pace: FrameRate::new(),
        playback: Playback::new(),
    };
    let mut seconds = tokio::time::interval(SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = shell.pace.due;
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
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                shell.draw().map(|()| None)
            }
            _ = seconds.tick() => {
                shell.second(messages());
                Ok(None)
            }
            // Last: under load it is always ready.
            () = shell.ready() => Ok(shell.take_in()),
        };
        match turn {
            Ok(None) => {}
            Ok(Some(ending)) => break Ok(ending),
            // A terminal that takes or gives nothing any more is gone.
            Err(error) => {
                log::debug!("the terminal is gone: {error}");
                break Ok(Ending::Signal(Signal::HUP));
            }
        }
        // The runtime hears of keys, signals and time only while this waits, and a feed that always has
        // something more never makes it wait.
        tokio::task::yield_now().await;
    }
}

struct Shell<'a> {
    app: &'a mut App,
    source: &'a mut Source,
    screen: Screen,
    /// What was seen when the screen was held.
    held: Option<Box<Watch>>,
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
            if let Some(effect) = effect
                && let Some(ending) = self.carry_out(effect)?
            {
                return Ok(Some(ending));
            }
            self.hold();
            // What is selected next depends on the lists of what is there now.
            if event::poll(KEY_WAIT)? {
                let watch = shown(self.source, self.held.as_deref());
                self.app.refresh(watch);
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
                self.screen.copy(&text)?;
                let commands = several(text.lines().count(), "command");
                let words = format!("{commands} given to the terminal's clipboard");
                self.app.tell(words, Role::Notice);
            }
            Effect::Write => {
                if let Source::Live { write, .. } = &*self.source {
                    self.app.tell("writing the capture so far", Role::Notice);
                    write();
                }
            }
            Effect::Select(selection) => self.select(selection),
            Effect::Seek(to_ns) => {
                self.player(|player| player.seek(to_ns));
                self.playback.moved(Some(to_ns));
            }
            Effect::StepEvent(step) => self.step(step, "event", Replay::step_event),
            Effect::StepFinding(step) => self.step(step, "finding", Replay::step_finding),
        }
        Ok(None)
    }

    /// Does something with the capture; `None` if there is none.
    fn player<T>(&mut self, act: impl FnOnce(&mut Replay) -> T) -> Option<T> {
        self.playback.moved(None);
        let Source::Replay(player) = &mut *self.source else {
            return None;
        };
        let done = act(player);
        // The next key may come before the next screen, and goes on from here.
        self.app.now_ns = player.now_ns;
        self.app.view.made = None;
        Some(done)
    }

    fn step(&mut self, to: PlayStep, what: &str, act: fn(&mut Replay, PlayStep) -> bool) {
        if self.player(|player| act(player, to)) != Some(true) {
            let way = match to {
                PlayStep::Forward => "after",
                PlayStep::Back => "before",
            };
            let words = format!("no {what} is known {way} this moment");
            self.app.tell(words, Role::Notice);
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
                self.app.view.made = None;
            }
            Err(error) => self.app.tell(error.to_string(), Role::Error),
        }
    }

    fn signal(&mut self, signal: Signal) -> io::Result<Option<Ending>> {
        self.pace.want(KEY_FRAME);
        match signal {
            Signal::TSTP => self.screen.suspend()?,
            // Whoever stopped it otherwise has left the terminal to somebody else.
            Signal::CONT => self.screen.take_again()?,
            // Its library hears of it too, and must not find it together with the next key.
            Signal::WINCH => return self.keys(),
            ending => return Ok(Some(Ending::Signal(ending))),
        }
        Ok(None)
    }

    /// A second is over: times on the screen are to be drawn again.
    fn second(&mut self, messages: Vec<String>) {
        for message in messages {
            self.app.tell(message, Role::Error);
        }
        self.app.tick(monotonic_ns());
        self.app.view.made = None;
        self.pace.want(FRAME);
    }

    fn draw(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        self.pace.due = None;
        self.app.tick(monotonic_ns());
        if let Source::Replay(player) = &mut *self.source {
            let before_ns = player.now_ns;
            self.playback.go_on(player, &mut self.app.playing, begun);
            if player.now_ns != before_ns {
                self.app.view.made = None;
            }
            self.app.facts.notes = player.notes();
        }
        let app = &mut *self.app;
        let watch = shown(self.source, self.held.as_deref());
        app.now_ns = match &*self.source {
            Source::Live { .. } if self.held.is_none() => app.clock_ns,
            Source::Live { .. } => watch.now_ns(),
            Source::Replay(player) => player.now_ns,
        };
        app.refresh(watch);
        self.screen.draw(|frame| render::draw(frame, app, watch))?;
        self.pace.drawn(begun);
        if self.app.playing.running || !self.app.playing.indexed {
            self.pace.want(FRAME);
        }
        Ok(())
    }
}

/// What is on the screen.
fn shown<'a>(source: &'a Source, held: Option<&'a Watch>) -> &'a Watch {
    match (held, source) {
        (Some(held), _) => held,
        (None, Source::Live { watch, .. }) => watch,
        (None, Source::Replay(player)) => player.watch(),
    }
}
