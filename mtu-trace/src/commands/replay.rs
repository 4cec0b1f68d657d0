//! `replay`: shows a capture as `live` does.

use anyhow::{Context as _, Result};

use super::{
    FAILED,
    live::{glyphs, screens, signal_status, theme},
    output, replayed,
};
use crate::{
    cli::{self, ColorChoice},
    replay::Replay,
    select::Scope,
    tui::{
        App,
        facts::{Facts, Mark, Risks, Spool},
        keys::Mode,
        player::Player,
        run::{Ending, Source},
        terminal,
    },
    watch::Watch,
};

/// What to do where there is no terminal.
const INSTEAD: &str = "`mtu-trace report` needs none";

/// Runs the command; gives the exit status.
pub fn run(options: &cli::Replay, color: ColorChoice) -> Result<u8> {
    let scope = options.selection.recorded()?;
    let name = replayed::name(&options.file);
    let replay =
        Replay::open(&options.file, scope).with_context(|| format!("cannot use {name}"))?;
    terminal::check(INSTEAD)?;
    let header = replay.header();
    let facts = Facts {
        mode: Mode::Replay,
        hostname: header.hostname.clone(),
        kernel: header.kernel.clone(),
        clock: header.clock,
        hooks: header.hooks.clone(),
        selection: options.selection.clone(),
        recording: None,
        spool: Spool::None,
        waiting: 0,
        risks: Risks::None,
        notes: Vec::new(),
        file: Some(options.file.clone()),
    };
    let mut app = App::new(facts, theme(color), glyphs(options.ascii));
    let mut source = Source::Replay(Box::new(replay));
    Ok(match screens(&mut app, &mut source)? {
        Ending::Quit => 0,
        Ending::Signal(signal) => signal_status(signal),
        Ending::Source(why) => {
            output::complain(&why);
            FAILED
        }
    })
}

impl Player for Replay {
    fn span(&self) -> (u64, u64) {
        self.span()
    }

    fn indexed(&self) -> bool {
        self.is_indexed()
    }

    fn condition(&self) -> Vec<String> {
        self.notes()
    }

    fn now_ns(&self) -> u64 {
        self.now_ns()
    }

    fn seek(&mut self, to_ns: u64) {
        self.seek(to_ns);
    }

    fn step_event(&mut self, forward: bool) {
        self.step_event(forward);
    }

    fn step_finding(&mut self, forward: bool) {
        self.step_finding(forward);
    }

    fn marks(&self) -> Vec<Mark> {
        let made = self.made();
        let marks = made.iter().map(|made| Mark {
            at_ns: made.at_ns,
            severity: made.severity,
            verdict: made.verdict,
        });
        marks.collect()
    }

    fn watch(&self) -> &Watch {
        self.watch()
    }

    fn select(&mut self, scope: Scope) -> Result<()> {
        self.select(scope);
        Ok(())
    }
}
