//! The terminal: taken for the screens, and given back as it was, however the program ends.

use std::io::{self, Stdout, Write as _, stdout};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Rect;
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::isatty;

/// Whether the terminal is taken at the moment: a panic anywhere gives it back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken. Dropping it gives it back.
pub struct Screen {
    // Its own end shows the cursor, which we do, and panics where the terminal is gone and cannot be told.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
}

/// That there is a terminal to show screens in.
///
/// # Errors
///
/// Standard input or output is none, or it can do nothing but print.
pub fn check(instead: &str) -> Result<()> {
    let ends = [
        (rustix::stdio::stdout(), "output"),
        (rustix::stdio::stdin(), "input"),
    ];
    if let Some((_, end)) = ends.iter().find(|(end, _)| !isatty(end)) {
        bail!("the screens need a terminal, and standard {end} is none: {instead}");
    }
    if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        bail!("the screens need more of a terminal than TERM=dumb says there is: {instead}");
    }
    Ok(())
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// It does not do what is asked.
    pub fn take() -> Result<Self> {
        // A panic's message is for a terminal that is as it was.
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        enter().context("cannot set up the terminal")?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))
            .inspect_err(|_| give_back())
            .context("cannot set up the terminal")?;
        Ok(Self {
            terminal: ManuallyDrop::new(terminal),
        })
    }

    /// Draws, if the terminal is still taken.
    pub(crate) fn draw(&mut self, render: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        if TAKEN.load(Ordering::SeqCst) {
            self.terminal.draw(render)?;
        }
        Ok(())
    }

    /// Draws everything anew the next time.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // Not `Terminal::clear`: that asks the terminal where its cursor is, and waits for the answer.
        let size = self.terminal.size()?;
        self.terminal
            .resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Has the terminal put a text into the clipboard.
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut stdout = stdout();
        stdout.write_all(osc52(text).as_bytes())?;
        stdout.flush()
    }

    /// Gives the terminal back, stops the process group as Ctrl-Z does, and takes the terminal again
    /// when the shell lets it go on. Must be called on the main thread: that one takes the signal.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        stop()?;
        self.take_again()
    }

    /// Takes the terminal once more: whoever had it meanwhile has changed it.
    pub(crate) fn take_again(&mut self) -> io::Result<()> {
        // What was set before is not what is there: it is set only from the state before all.
        let _as_it_is = disable_raw_mode();
        enter()?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste).inspect_err(|_| give_back())
}

/// Gives the terminal back, if it is taken. Whatever fails, the rest is tried.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _lost = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _lost = disable_raw_mode();
    }
}

/// Stops the process group by SIGTSTP, which does it where there is no handler. One that has no shell to
/// continue it is not stopped by this, unlike by SIGSTOP.
fn stop() -> io::Result<()> {
    // SAFETY: both are plain values, for which all zeros is a valid one, and the pointers are to them.
    let (changed, ours) = unsafe {
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        let mut ours: libc::sigaction = std::mem::zeroed();
        let changed = libc::sigaction(libc::SIGTSTP, &raw const default, &raw mut ours);
        (changed == 0, ours)
    };
    let stopped = kill_current_process_group(Signal::TSTP);
    if changed {
        // SAFETY: it is what the kernel gave for this signal before.
        unsafe {
            libc::sigaction(libc::SIGTSTP, &raw const ours, std::ptr::null_mut());
        }
    }
    Ok(stopped?)
}

/// What has the terminal put a text into the clipboard (xterm's OSC 52), which works over ssh as well.
fn osc52(text: &str) -> String {
    format!("\x1b]52;c;{}\x07", STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_copied_as_xterm_has_it() {
        assert_eq!(osc52("ip link"), "\x1b]52;c;aXAgbGluaw==\x07");
    }
}
