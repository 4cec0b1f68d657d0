//! `live`: shows what is stalled while it happens.

mod kept_parts;
mod tracer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};

use crate::base::clock::Clock;
use crate::cli::{ColorChoice, Drawing, LiveOptions};
use crate::commands::live::tracer::{EventSinks, Tracer};
use crate::commands::recording::{KeptCapture, misuse};
use crate::commands::trace::runtime;
use crate::commands::{
    FAILED, LOCKED_DOWN, USAGE, check, explain_refusal, hostname, kernel_release, load_options,
    output, signal_status,
};
use crate::host::netns::NetnsFile;
use crate::model::finding::Severity;
use crate::show::tui::facts::{Risks, SpoolState, TraceFacts};
use crate::show::tui::feed::{FeedItem, Feeder, feed};
use crate::show::tui::glyphs::{ASCII, Glyphs};
use crate::show::tui::keys::Mode;
use crate::show::tui::run::{Ending, Source, run as show};
use crate::show::tui::theme::Theme;
use crate::show::tui::{App, terminal};
use crate::show::watch::Watch;

pub fn run(options: &LiveOptions, color: ColorChoice) -> Result<u8> {
    if let Some(why) = misuse(&options.keep) {
        output::complain(why);
        return Ok(USAGE);
    }
    terminal::check("`mtu-trace record` needs none")?;
    let scope = options.selection.live(&NetnsFile::id_of);
    let scope = scope.map_err(|error| explain_refusal(error.into(), LOCKED_DOWN))?;
    let clock = Clock::now();
    let recording = KeptCapture::prepare(&options.keep)?;
    let (feeder, feed) = feed();
    let load = load_options(&options.tracing);
    let save = Arc::<AtomicBool>::default();
    let sinks = EventSinks {
        recording,
        clock,
        feeder: feeder.clone(),
        save: Arc::clone(&save),
    };
    let tracer = Tracer::start(load, sinks).map_err(|error| explain_refusal(error, LOCKED_DOWN))?;
    look_for_risks(feeder)?;
    let output = options.keep.output.as_deref();
    let facts = TraceFacts {
        mode: Mode::Live,
        hostname: hostname(),
        kernel: kernel_release(),
        clock,
        hooks: tracer.hooks.clone(),
        selection: options.selection.clone(),
        recording: output.map(|path| path.display().to_string()),
        spool: SpoolState::None,
        waiting: 0,
        risks: Risks::Pending,
        notes: Vec::new(),
        file: None,
    };
    let mut source = Source::Live {
        watch: Box::new(Watch::of(scope)),
        feed,
        write: Box::new(move || save.store(true, Ordering::Relaxed)),
    };
    let ending = screens(facts, &mut source, &options.drawing, color);
    // The thread must not wait for anybody to take its last events.
    drop(source);
    let recording = tracer.finish();
    output::release();
    let status = match ending? {
        Ending::Quit => 0,
        Ending::Signal(signal) => signal_status(signal),
        Ending::Source(why) => {
            output::complain(&why);
            FAILED
        }
    };
    Ok(recording?.status(status))
}

/// Shows the screens until they end.
pub fn screens(
    facts: TraceFacts,
    source: &mut Source,
    drawing: &Drawing,
    color: ColorChoice,
) -> Result<Ending> {
    let theme = match output::color(color) {
        true => Theme::detect(),
        false => Theme::Mono,
    };
    let glyphs = match drawing.ascii {
        true => &ASCII,
        false => Glyphs::detect(),
    };
    let mut app = App::new(facts, theme, glyphs);
    let runtime = runtime()?;
    output::hold();
    runtime.block_on(show(&mut app, source, output::take_held))
}

/// Looks at the network once, as `check` does, and tells what is bad.
fn look_for_risks(feeder: Feeder) -> Result<()> {
    thread::Builder::new()
        .name("check".to_owned())
        .spawn(move || {
            let risks = match check::audit() {
                Ok((mut findings, _)) => {
                    findings.retain(|it| it.severity >= Severity::Warning);
                    Risks::Found(findings)
                }
                Err(error) => Risks::Failed(format!("{error:#}")),
            };
            feeder.tell(FeedItem::Risks(risks));
        })
        .context("cannot start the thread that looks at the network")?;
    Ok(())
}
