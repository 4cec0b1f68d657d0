//! `replay`: shows a capture as `live` does.

use anyhow::{Context as _, Result, bail};

use crate::cli::{ColorChoice, ReplayOptions};
use crate::commands::live::screens;
use crate::commands::{output, signal_status};
use crate::show::replay::Replay;
use crate::show::tui::facts::{Risks, SpoolState, TraceFacts};
use crate::show::tui::keys::Mode;
use crate::show::tui::run::{Ending, Source};
use crate::show::tui::terminal;

pub fn run(options: &ReplayOptions, color: ColorChoice) -> Result<u8> {
    if options.file.as_os_str() == "-" {
        bail!("standard input is where the keys come from: keep the capture in a file first");
    }
    terminal::check("`mtu-trace report FILE` needs none")?;
    let scope = options.selection.recorded()?;
    let replay = Replay::open(&options.file, scope)
        .with_context(|| format!("cannot use {}", options.file.display()))?;
    let header = &replay.header;
    let facts = TraceFacts {
        mode: Mode::Replay,
        hostname: header.hostname.clone(),
        kernel: header.kernel.clone(),
        clock: header.clock,
        hooks: header.hooks.clone(),
        selection: options.selection.clone(),
        recording: None,
        spool: SpoolState::None,
        waiting: 0,
        risks: Risks::None,
        notes: Vec::new(),
        file: Some(options.file.clone()),
    };
    let mut source = Source::Replay(Box::new(replay));
    let ending = screens(facts, &mut source, &options.drawing, color);
    output::release();
    match ending? {
        Ending::Quit => Ok(0),
        Ending::Signal(signal) => Ok(signal_status(signal)),
        Ending::Source(why) => bail!(why),
    }
}
