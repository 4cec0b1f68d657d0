//! What looks like a Docker engine to who looks at processes: a program of its name, with its arguments,
//! in a namespace. It does nothing but run.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

use crate::netns::Netns;
use crate::patience::patient;
use crate::process::{Running, Wait};
use crate::scratch::Scratch;

/// How long it may take to start.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// Some ticks of the clock by which processes are dated.
const TICKS: Duration = Duration::from_millis(100);
/// The program: a shell by another name.
const SHELL: &str = "/bin/bash";
/// What it does in the directory `$0`: it says that it runs, and waits for what never comes, without another
/// process, which would outlive it.
const SCRIPT: &str = "echo > \"$0/ready\"; read -r never <> \"$0/never\"";

/// A process called `dockerd`; it ends with this value, and with the thread that made it.
#[derive(Debug)]
pub struct Engine {
    running: Running,
    settings: PathBuf,
    _scratch: Scratch,
}

impl Engine {
    /// Starts one in `netns` with these arguments, and with `settings` as its `daemon.json`.
    ///
    /// # Errors
    ///
    /// A file cannot be made, or it does not start.
    pub fn start(netns: &Netns, settings: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_by(&[], netns, settings, arguments)
    }

    /// The same by way of a program that becomes it.
    ///
    /// # Errors
    ///
    /// As [`Engine::start`].
    pub fn start_by(
        starter: &[&str],
        netns: &Netns,
        settings: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let scratch = Scratch::new()?;
        let program = scratch.install(Path::new(SHELL), "dockerd")?;
        let settings = write(&scratch, "daemon.json", settings)?;
        let pipes = ["ready", "never"].map(|name| scratch.path().join(name));
        for pipe in &pipes {
            mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                .with_context(|| format!("making {}", pipe.display()))?;
        }
        let [ready, _] = &pipes;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let ready = File::from(open(ready, flags, Mode::empty()).context("opening a pipe")?);
        let mut command = Command::new("setpriv");
        command
            // However this program ends, the engine does.
            .args(["--pdeathsig", "KILL", "nsenter"])
            .arg(format!("--net=/run/netns/{}", netns.name()))
            .args(starter)
            .arg(program)
            .args(["-c", SCRIPT])
            .arg(scratch.path())
            .args([Path::new("--config-file"), &settings])
            .args(arguments);
        let running = Running::start(&mut command)?;
        let started = running.wait_readable(ready.as_fd(), patient(READY_LIMIT))?;
        ensure!(started == Wait::Readable, "no engine started: {started:?}");
        Ok(Self {
            running,
            settings,
            _scratch: scratch,
        })
    }

    /// Writes its `daemon.json` anew, when it has run for some ticks of the clock: its start is known by
    /// the tick.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn rewrite(&self, settings: &str) -> Result<()> {
        std::thread::sleep(TICKS);
        fs::write(&self.settings, settings).context("writing the settings anew")
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}

fn write(scratch: &Scratch, name: &str, text: &str) -> Result<PathBuf> {
    let path = scratch.path().join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
