//! Where words go: reports to standard output, everything else to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};

use crate::{
    cli::ColorChoice,
    report::{Format, Report, Style},
};

/// Columns of a report that goes to no terminal.
const FILE_COLUMNS: usize = 100;
/// Lines longer than this are hard to read, whatever the terminal's width.
const MOST_COLUMNS: usize = 120;

/// Says something on standard error. That it cannot be said is no reason to stop.
pub fn say(message: &str) {
    let _unheard = writeln!(io::stderr(), "mtu-trace: {message}");
}

/// Says that something failed: one line, whatever the error's own form.
pub fn complain(message: &str) {
    let line: Vec<&str> = message.lines().map(str::trim).collect();
    say(&line.join("; "));
}

/// Sends diagnostics to standard error: warnings, or what `RUST_LOG` asks for. With `kernel_log` the
/// kernel programs' own are among them.
pub fn log_to_stderr(kernel_log: bool) {
    let level = if kernel_log { "trace" } else { "warn" };
    let environment = env_logger::Env::default().default_filter_or(level);
    // A second call, from a test, changes nothing.
    let _already_set = env_logger::Builder::from_env(environment)
        .format(|to, record| writeln!(to, "mtu-trace: {}", record.args()))
        .try_init();
}

/// How text on standard output is to look.
pub fn style(choice: ColorChoice) -> Style {
    let terminal = io::stdout().is_terminal();
    let color = match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // https://no-color.org: any value but the empty one.
        ColorChoice::Auto => {
            terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    crossterm::style::force_color_output(color);
    let width = if terminal {
        crossterm::terminal::size().map_or(FILE_COLUMNS, |(columns, _)| usize::from(columns))
    } else {
        FILE_COLUMNS
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
    match report
        .write(&mut stdout, format, &style(color))
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the report to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes the report to standard error, where standard output is taken. That it cannot be said is no
/// reason to fail.
pub fn print_beside(report: &Report, format: Format) {
    let _unheard = report.write(&mut io::stderr().lock(), format, &Style::PLAIN);
}
