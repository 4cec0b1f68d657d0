//! The screens in a real terminal: keys, sizes, suspension, signals, and that the terminal is as before
//! whatever happens.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use lab::Lab;
use lab::binary::mtu_trace;
use lab::firewall::{Hook, drop_frag_needed};
use lab::scratch::Scratch;
use lab::terminal::Terminal;
use mtu_trace::testing::{
    ASCII, App, Clock, Ending, Event, EventKind, FeedItem, Mode, Risks, Selection, Source,
    SpoolState, Theme, TraceFacts, feed, run,
};
use rustix::process::Signal;

use crate::{DOWNLOAD, small_uplink};

/// A capture that is kept with the tests: a black hole.
fn capture() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.join("../mtu-trace/tests/core/golden/filtered.pcapng.zst")
}

fn replay() -> Command {
    let mut command = Command::new(mtu_trace());
    command.arg("replay").arg(capture());
    command
}

/// In full, at the end of the capture.
fn replayed() -> Result<Terminal> {
    let mut terminal = Terminal::start(replay(), 80, 24)?;
    terminal.shows("REPLAY")?;
    // End.
    terminal.press("\x1b[F")?;
    terminal.shows("mtu-black-hole")?;
    ensure!(terminal.screen().alternate_screen() && terminal.is_raw()?);
    Ok(terminal)
}

#[test]
fn a_capture_is_played_and_the_terminal_given_back() -> Result<()> {
    let mut terminal = replayed()?;
    terminal.press("?")?;
    terminal.shows("? or Esc closes")?;
    terminal.press("?")?;
    terminal.until("no help", |screen| {
        !screen.contents().contains("Esc closes")
    })?;
    for (columns, rows) in [(40, 12), (300, 100), (120, 40)] {
        terminal.resize(columns, rows)?;
        terminal.until("a screen of the new size", |screen| {
            let mut lines = screen.rows(0, columns);
            lines
                .nth(usize::from(rows) - 1)
                .is_some_and(|line| line.contains(" q Quit"))
        })?;
    }
    // Home: nothing was found yet then.
    terminal.press("\x1b[H")?;
    terminal.until("the beginning", |screen| {
        !screen.contents().contains("mtu-black-hole")
    })?;
    terminal.press("n")?;
    terminal.shows("mtu-black-hole")?;
    terminal.press("\x1b[H")?;
    terminal.until("the beginning", |screen| {
        !screen.contents().contains("mtu-black-hole")
    })?;
    // Each by a twentieth, though there is no screen between them.
    terminal.press(&"l".repeat(20))?;
    terminal.shows("mtu-black-hole")?;
    terminal.press("q")?;
    let status = terminal.end()?;
    ensure!(status.code() == Some(0), "{status:?}");
    terminal.is_as_before()
}

#[test]
fn signals_give_the_terminal_back() -> Result<()> {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut terminal = replayed()?;
        terminal.signal(signal)?;
        let status = terminal.end()?;
        ensure!(status.code() == Some(code), "{signal:?}: {status:?}");
        terminal.is_as_before()?;
    }
    Ok(())
}

#[test]
fn a_terminal_that_is_gone_ends_it() -> Result<()> {
    let status = replayed()?.hang_up()?;
    ensure!(status.code() == Some(129), "{status:?}");
    Ok(())
}

#[test]
fn suspended_it_leaves_the_terminal_and_comes_back() -> Result<()> {
    // A shell with job control, as a user has it.
    let script =
        r#"set -m; "$0" replay "$1"; echo "STOPPED=$?"; read line; fg >/dev/null; echo "ENDED=$?""#;
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).arg(mtu_trace()).arg(capture());
    let mut terminal = Terminal::start(shell, 80, 24)?;
    terminal.shows("REPLAY")?;
    terminal.press("\x1a")?;
    // 128 and SIGTSTP's number.
    terminal.shows("STOPPED=148")?;
    terminal.is_as_before()?;
    terminal.press("\n")?;
    terminal.shows("REPLAY")?;
    ensure!(terminal.screen().alternate_screen() && terminal.is_raw()?);
    terminal.press("q")?;
    terminal.shows("ENDED=0")?;
    terminal.end()?;
    terminal.is_as_before()
}

#[test]
fn without_a_terminal_it_says_so() -> Result<()> {
    for arguments in [&["live"][..], &[], &["replay", "x.pcapng"]] {
        let finished = crate::record_cli::run(arguments)?;
        crate::record_cli::fails(&finished, 1, &["terminal"])?;
    }
    Ok(())
}

#[test]
fn a_stall_is_on_the_screen_while_it_lasts_and_can_be_written() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let scratch = Scratch::new()?;
    let inside = lab.inside()?.name().to_owned();
    let mut command = Command::new(mtu_trace());
    command
        .args(["live", "--netns", &inside])
        .current_dir(scratch.path());
    let mut terminal = Terminal::start(command, 120, 40)?;
    terminal.shows("LIVE")?;
    let outcome = lab.run(&DOWNLOAD)?;
    ensure!(outcome.hung(), "{outcome:?}");
    terminal.shows("mtu-black-hole")?;
    // Its name alone is in the status line as well.
    terminal.shows(&format!("{inside} ←"))?;
    terminal.press("p")?;
    terminal.shows("PAUSED")?;
    terminal.press("p")?;
    terminal.shows("LIVE")?;
    terminal.press("w")?;
    terminal.shows("the capture so far is in")?;
    terminal.press("q")?;
    let status = terminal.end()?;
    ensure!(status.code() == Some(0), "{status:?}");
    terminal.is_as_before()?;
    let mut written = std::fs::read_dir(scratch.path())?;
    let path = written
        .next()
        .ok_or_else(|| anyhow::anyhow!("no file"))??
        .path();
    let path = path.display().to_string();
    let report = crate::record_cli::run(&["report", "--netns", &inside, &path])?;
    ensure!(
        report.code() == Some(0) && report.stderr.is_empty(),
        "{report:?}"
    );
    ensure!(report.stdout.contains("mtu-black-hole"), "{report:?}");
    Ok(())
}

#[test]
fn a_trace_is_ended_by_a_signal() -> Result<()> {
    let _shared = Lab::new()?;
    let mut command = Command::new(mtu_trace());
    command.arg("live");
    let mut terminal = Terminal::start(command, 80, 24)?;
    terminal.shows("LIVE")?;
    terminal.signal(Signal::TERM)?;
    let status = terminal.end()?;
    ensure!(status.code() == Some(143), "{status:?}");
    terminal.is_as_before()
}

/// Takes the terminal and panics, on the thread that draws or on another one; for the test below.
#[test]
#[ignore = "it needs a terminal, and panics"]
fn panics() {
    let screen = mtu_trace::testing::Screen::take();
    assert!(screen.is_ok());
    if std::env::var_os("ON_ANOTHER_THREAD").is_some() {
        let _died = std::thread::spawn(|| panic!("on another thread")).join();
        // What is drawn now would be drawn over the message.
        let _kept = screen.map(std::mem::forget);
    } else {
        panic!("on the thread that draws");
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() -> Result<()> {
    for (variable, words) in [
        ("ON_THIS_THREAD", "on the thread that draws"),
        ("ON_ANOTHER_THREAD", "on another thread"),
    ] {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--exact", "screens::panics", "--ignored", "--nocapture"])
            .env(variable, "1")
            // It would scroll the message away.
            .env("RUST_BACKTRACE", "0");
        let mut terminal = Terminal::start(command, 80, 24)?;
        terminal.end()?;
        terminal.is_as_before()?;
        let text = terminal.screen().contents();
        ensure!(
            text.contains(words),
            "the message is not on the screen:\n{text}"
        );
    }
    Ok(())
}

/// Shows the screens of a trace from which more comes than can be taken in, and ends as they end; for
/// the test below.
#[test]
#[ignore = "it needs a terminal"]
fn floods() -> Result<()> {
    let (feeder, feed) = feed();
    // Nobody listens any more once the screens are gone.
    std::thread::spawn(move || while feeder.tell(FeedItem::Events(ticks())) {});
    let mut source = Source::Live {
        watch: Box::default(),
        feed,
        write: Box::new(|| {}),
    };
    let mut app = App::new(facts(), Theme::Mono, &ASCII);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ending = runtime.block_on(run(&mut app, &mut source, Vec::new))?;
    let wanted = match std::env::var_os("BY_SIGNAL") {
        Some(_) => Ending::Signal(Signal::TERM),
        None => Ending::Quit,
    };
    ensure!(ending == wanted, "{ending:?}");
    Ok(())
}

/// Events that cost more to take in than to make.
fn ticks() -> Vec<Event> {
    let tick = |time_ns| Event {
        time_ns,
        kind: EventKind::Tick,
    };
    (0..10_000).map(tick).collect()
}

fn facts() -> TraceFacts {
    TraceFacts {
        mode: Mode::Live,
        hostname: String::new(),
        kernel: String::new(),
        clock: Clock {
            wall: jiff::Timestamp::now(),
            monotonic_ns: 0,
        },
        hooks: Vec::new(),
        selection: Selection::default(),
        recording: None,
        spool: SpoolState::None,
        waiting: 0,
        risks: Risks::None,
        notes: Vec::new(),
        file: None,
    }
}

#[test]
fn keys_and_signals_are_heard_in_a_flood() -> Result<()> {
    for by_signal in [false, true] {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--exact", "screens::floods", "--ignored", "--nocapture"]);
        if by_signal {
            command.env("BY_SIGNAL", "1");
        }
        let mut terminal = Terminal::start(command, 80, 24)?;
        // Screens are still drawn, too.
        terminal.shows("events behind")?;
        if by_signal {
            terminal.signal(Signal::TERM)?;
        } else {
            terminal.press("q")?;
        }
        let status = terminal.end()?;
        ensure!(status.success(), "{}", terminal.screen().contents());
        terminal.is_as_before()?;
    }
    Ok(())
}
