//! A receiver that is a process of its own, and can be stopped like one (SIGSTOP, a debugger, a frozen
//! container): its kernel goes on acknowledging until there is no room.

use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::process::Signal;

use crate::netns::Netns;
use crate::process::Running;
use crate::traffic::listen;
use crate::unread::write_until_stuck;

/// A process in one namespace that reads all that a socket in another sends it.
#[derive(Debug)]
pub struct Reader {
    // Dropped first: the process ends, and its socket with it.
    running: Running,
    /// The sender's end.
    pub sender: TcpStream,
}

impl Reader {
    /// Starts the process in `client`, which connects to a socket in `server` that listens on `address`
    /// and `port`.
    ///
    /// # Errors
    ///
    /// There is no bash, or the connection is not opened within `limit`.
    pub fn start(
        client: &Netns,
        server: &Netns,
        address: IpAddr,
        port: u16,
        limit: Duration,
    ) -> Result<Self> {
        let listener = listen(server, SocketAddr::new(address, port))?;
        set_socket_timeout(&listener, Timeout::Recv, Some(limit))
            .context("limiting the wait for the connection")?;
        let running = client.run(|| {
            // bash opens the connection, and cat takes the place of bash.
            let script = format!("exec cat < /dev/tcp/{address}/{port} > /dev/null");
            Running::start(Command::new("bash").args(["-c", &script]))
        })?;
        let (sender, _) = listener.accept().context("accepting the connection")?;
        Ok(Self { running, sender })
    }

    /// Stops it in the middle of whatever it does.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn pause(&self) -> Result<()> {
        self.running.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn resume(&self) -> Result<()> {
        self.running.signal(Signal::CONT)
    }

    /// Sends until it takes no more, and returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// It takes everything for longer than `limit`.
    pub fn fill(&self, limit: Duration) -> Result<usize> {
        self.sender
            .set_nonblocking(true)
            .context("making a socket non-blocking")?;
        write_until_stuck(&self.sender, Instant::now() + limit)
    }

    /// Sends no more, and waits until it has read everything and ended.
    ///
    /// # Errors
    ///
    /// It has not within `limit`, or fails.
    pub fn finish(self, limit: Duration) -> Result<()> {
        self.sender
            .shutdown(Shutdown::Write)
            .context("ending what is sent")?;
        let finished = self.running.finish(limit)?;
        ensure!(finished.code() == Some(0), "{finished:?}");
        Ok(())
    }
}
