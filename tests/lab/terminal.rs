//! A terminal with a program in it: what it shows, and what state it leaves the terminal in.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, ioctl_tiocsctty, kill_process, pidfd_open, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
pub use vt100::Screen;

/// How long anything may take to appear.
const LIMIT: Duration = Duration::from_secs(30);

/// How long nothing is written between two screens, and not within one.
const QUIET: Duration = Duration::from_millis(30);

/// A terminal with a program in it, which ends with it.
pub struct Terminal {
    /// The user's side.
    master: File,
    /// The program's side.
    slave: OwnedFd,
    child: Child,
    parser: vt100::Parser,
    before: Termios,
}

impl Terminal {
    /// Starts a program in a new terminal of so many columns and rows.
    ///
    /// # Errors
    ///
    /// There is no terminal, or no such program.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .context("making a terminal")?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
        tcsetwinsize(&slave, size(columns, rows))?;
        let before = tcgetattr(&slave)?;
        let end = || Ok::<_, io::Error>(Stdio::from(slave.try_clone()?));
        command
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env_remove("LC_ALL")
            .env_remove("NO_COLOR")
            .stdin(end()?)
            .stdout(end()?)
            .stderr(end()?);
        // SAFETY: between fork and exec only system calls are made.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().context("starting the program")?;
        Ok(Self {
            master: File::from(master),
            slave,
            child,
            parser: vt100::Parser::new(rows, columns, 0),
            before,
        })
    }

    /// Waits until the screen is as wanted.
    ///
    /// # Errors
    ///
    /// It never is.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Screen) -> bool) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !wanted(self.parser.screen()) {
            if !self.read(deadline)? {
                bail!(
                    "{what} did not come, but this:\n{}",
                    self.parser.screen().contents()
                );
            }
        }
        Ok(())
    }

    /// Waits until these words are on the screen.
    ///
    /// # Errors
    ///
    /// They never are.
    pub fn shows(&mut self, words: &str) -> Result<()> {
        self.until(words, |screen| screen.contents().contains(words))
    }

    /// Takes what the program is writing, until it has written nothing for a moment.
    ///
    /// # Errors
    ///
    /// The terminal is gone, or the program never rests.
    pub fn settle(&mut self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while self.read(Instant::now() + QUIET)? {
            ensure!(Instant::now() < deadline, "it writes without a rest");
        }
        Ok(())
    }

    /// Takes what the program has written; false when nothing more comes.
    fn read(&mut self, deadline: Instant) -> Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(&self.master, PollFlags::IN)];
        if poll(&mut polled, Some(&Timespec::try_from(left)?))? == 0 {
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(count) => {
                self.parser.process(&buffer[..count]);
                Ok(count > 0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error).context("reading from the terminal"),
        }
    }

    /// Presses keys.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.master
            .write_all(keys.as_bytes())
            .context("pressing a key")
    }

    /// Makes the terminal another size.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Result<()> {
        self.parser.screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.master, size(columns, rows)).context("resizing the terminal")
    }

    /// Sends the program a signal.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).context("sending a signal")
    }

    /// The program's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program has ended.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn end(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + LIMIT;
        let pidfd = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = {
                let mut polled = [
                    PollFd::new(&pidfd, PollFlags::IN),
                    PollFd::new(&self.master, PollFlags::IN),
                ];
                let ready = poll(&mut polled, Some(&Timespec::try_from(left)?))?;
                ensure!(
                    ready > 0,
                    "it does not end:\n{}",
                    self.parser.screen().contents()
                );
                (
                    polled[0].revents().contains(PollFlags::IN),
                    polled[1].revents(),
                )
            };
            if ended.1.contains(PollFlags::IN) {
                self.read(deadline)?;
            } else if ended.0 {
                return Ok(self.child.wait()?);
            }
        }
    }

    /// Takes the terminal away from the program.
    ///
    /// # Errors
    ///
    /// The program does not end by that.
    pub fn hang_up(mut self) -> Result<ExitStatus> {
        self.master = File::open("/dev/null")?;
        self.slave = File::open("/dev/null")?.into();
        let pidfd = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
        let ended = poll(&mut polled, Some(&Timespec::try_from(LIMIT)?))?;
        ensure!(ended > 0, "it goes on without its terminal");
        Ok(self.child.wait()?)
    }

    /// What is on the screen.
    #[must_use]
    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// That the terminal is as it was before the program.
    ///
    /// # Errors
    ///
    /// It is not; the message says in what.
    pub fn is_as_before(&self) -> Result<()> {
        let screen = self.parser.screen();
        ensure!(
            !screen.alternate_screen(),
            "the alternate screen is left on"
        );
        ensure!(!screen.hide_cursor(), "the cursor is left hidden");
        ensure!(!screen.bracketed_paste(), "bracketed paste is left on");
        let now = tcgetattr(self.slave.as_fd())?;
        let modes = |it: &Termios| {
            (
                it.input_modes,
                it.output_modes,
                it.control_modes,
                it.local_modes,
            )
        };
        ensure!(
            modes(&now) == modes(&self.before),
            "the terminal's modes are {now:?}, not {:?}",
            self.before
        );
        Ok(())
    }

    /// Whether keys go to the program one by one.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn is_raw(&self) -> Result<bool> {
        Ok(!tcgetattr(self.slave.as_fd())?
            .local_modes
            .contains(LocalModes::ICANON))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already, or is not wanted any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
