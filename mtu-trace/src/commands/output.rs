//! Where words go: reports to standard output, everything else to standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

use crate::cli::ColorChoice;
use crate::show::report::{Format, Report, Style};

/// Columns of a report that goes to no terminal.
const FILE_COLUMNS: usize = 100;
/// Lines longer than this are hard to read, whatever the terminal's width.
const MOST_COLUMNS: usize = 120;

/// Messages that are kept while screens have the terminal, at most.
const MOST_HELD: usize = 200;

/// What was said while screens have the terminal. Standard error is the terminal then, and one for the
/// whole program; so is this.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

#[derive(Default)]
struct Held {
    messages: Vec<String>,
    taken: usize,
}

/// Keeps what is said from now on, instead of writing it over the screens, until [`release`].
pub fn hold() {
    if io::stderr().is_terminal() {
        *held() = Some(Held::default());
    }
}

/// What was said since the last call.
pub fn take_held() -> Vec<String> {
    let mut held = held();
    let Some(held) = &mut *held else {
        return Vec::new();
    };
    let new = held.messages[held.taken..].to_vec();
    held.taken = held.messages.len();
    new
}

/// Writes what was kept, and everything from now on at once.
pub fn release() {
    let kept = held().take();
    for message in kept.into_iter().flat_map(|held| held.messages) {
        say(&message);
    }
}

fn held() -> std::sync::MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says something on standard error. That it cannot be said is no reason to stop.
pub fn say(message: &str) {
    if let Some(held) = &mut *held() {
        if held.messages.len() < MOST_HELD {
            held.messages.push(message.to_owned());
        }
        return;
    }
    let _unheard = writeln!(io::stderr(), "mtu-trace: {message}");
}

/// Says that something failed: one line, whatever the error's own form.
pub fn complain(message: &str) {
    let line: Vec<&str> = message.lines().map(str::trim).collect();
    say(&line.join("; "));
}

/// Sends diagnostics to standard error: those of this level, or what `RUST_LOG` asks for. The kernel
/// programs' own are among them at `trace`.
pub fn log_to_stderr(level: &str) {
    let environment = env_logger::Env::default().default_filter_or(level);
    // A second call, from a test, changes nothing.
    let _already_set = env_logger::Builder::from_env(environment)
        .format(|_, record| {
            say(&record.args().to_string());
            Ok(())
        })
        .try_init();
}

pub fn color(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // https://no-color.org: any value but the empty one.
        ColorChoice::Auto => {
            let forbidden = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
            io::stdout().is_terminal() && !forbidden
        }
    }
}

pub fn style(choice: ColorChoice) -> Style {
    let color = color(choice);
    crossterm::style::force_color_output(color);
    let is_terminal = io::stdout().is_terminal();
    let width = match is_terminal.then(crossterm::terminal::size) {
        // A serial line has none.
        Some(Ok((columns, _))) if columns > 0 => usize::from(columns),
        _ => FILE_COLUMNS,
    };
    Style {
        color,
        width: width.min(MOST_COLUMNS),
    }
}

/// Prints the report. Whoever closes the pipe early has read what they wanted; the status is still to
/// be given.
pub fn print(report: &Report, format: Format, color: ColorChoice) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = report.write(&mut stdout, format, &style(color));
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the report to standard output")
        }
        _ => Ok(()),
    }
}

/// Prints text that is not a report.
pub fn print_text(text: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text).and_then(|()| stdout.flush());
    written.context("cannot write to standard output")
}

/// Writes the report to standard error, where standard output is taken. That it cannot be said is no
/// reason to fail.
pub fn print_beside(report: &Report, format: Format) {
    let _unheard = report.write(&mut io::stderr().lock(), format, &Style::PLAIN);
}
