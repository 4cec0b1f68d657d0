//! The terminal: taken for the screens, and given back as it was, however the program ends.

use std::io::{self, Stdout, Write as _, stdout};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
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
    if !isatty(rustix::stdio::stdout()) {
        bail!("the screens need a terminal, and standard output is none: {instead}");
    }
    if !isatty(rustix::stdio::stdin()) {
        bail!("the screens need a terminal, and standard input is none: {instead}");
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
        give_back_on_panic();
        enter().context("cannot set up the terminal")?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        let terminal = terminal.inspect_err(|_| give_back());
        let terminal = terminal.context("cannot set up the terminal")?;
        Ok(Self {
            terminal: ManuallyDrop::new(terminal),
        })
    }

    /// Draws, if the terminal is still taken.
    ///
    /// # Errors
    ///
    /// It takes nothing any more.
    pub fn draw(&mut self, render: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        if TAKEN.load(Ordering::SeqCst) {
            self.terminal.draw(render)?;
        }
        Ok(())
    }

    /// Draws everything anew the next time.
    ///
    /// # Errors
    ///
    /// It takes nothing any more.
    pub fn clear(&mut self) -> io::Result<()> {
        // Not `Terminal::clear`: that asks the terminal where its cursor is, and waits for the answer.
        let size = self.terminal.size()?;
        self.terminal
            .resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Sends bytes that move nothing on the screen.
    ///
    /// # Errors
    ///
    /// It takes nothing any more.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = stdout();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// Gives the terminal back, stops the process group as Ctrl-Z does, and takes the terminal again
    /// when the shell lets it go on. Must be called on the main thread: that one takes the signal.
    ///
    /// # Errors
    ///
    /// It takes nothing any more.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        let ours = default_action();
        // One that has no shell to continue it is not stopped by this, unlike by SIGSTOP.
        let stopped = kill_current_process_group(Signal::TSTP);
        restore_action(ours.as_ref());
        stopped?;
        self.take_again()
    }

    /// Takes the terminal once more: whoever had it meanwhile has changed it.
    ///
    /// # Errors
    ///
    /// It takes nothing any more.
    pub fn take_again(&mut self) -> io::Result<()> {
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

/// A panic's message is for a terminal that is as it was.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
    });
}

/// Has SIGTSTP stop the process, as it does without a handler; gives what it did.
fn default_action() -> Option<libc::sigaction> {
    // SAFETY: both are plain values, for which all zeros is a valid one, and the pointers are to them.
    unsafe {
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        let mut before: libc::sigaction = std::mem::zeroed();
        (libc::sigaction(libc::SIGTSTP, &raw const default, &raw mut before) == 0).then_some(before)
    }
}

fn restore_action(action: Option<&libc::sigaction>) {
    if let Some(action) = action {
        // SAFETY: it is what the kernel gave for this signal before.
        unsafe {
            libc::sigaction(libc::SIGTSTP, action, std::ptr::null_mut());
        }
    }
}
