//! Hears from an engine that it is ready, as systemd would.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::process::{Running, Wait};
use rustix::fs::{Mode, OFlags};

/// A socket to which an engine says that it is ready.
pub struct Notify {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notify {
    /// Makes the socket `name` in `directory`.
    pub fn new(directory: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let path = directory.join(name);
        let _ = fs::remove_file(&path);
        // By way of a descriptor: the path of a socket may have a hundred bytes only.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty())
            .with_context(|| format!("cannot open {}", directory.display()))?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&opened);
        let socket = UnixDatagram::bind(format!("/proc/self/fd/{number}/{name}"))
            .with_context(|| format!("cannot listen at {}", path.display()))?;
        Ok(Self { socket, path })
    }

    /// Waits at most `limit` until the engine is ready, or `host` ends.
    pub fn wait(&self, host: &Running, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match host.wait_readable(self.socket.as_fd(), left)? {
                Wait::Readable => {}
                Wait::Ended => bail!("the host has ended"),
                Wait::TimedOut => bail!("the engine was not ready after {limit:?}"),
            }
            let mut message = [0; 4096];
            let length = self
                .socket
                .recv(&mut message)
                .with_context(|| format!("cannot read from {}", self.path.display()))?;
            let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
            if text.lines().any(|line| line == "READY=1") {
                return Ok(());
            }
        }
    }
}
