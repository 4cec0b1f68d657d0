//! A receiver that does not read: its window closes, and the sender waits with everything in order.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags};

use crate::connection::Connection;
use crate::netns::Netns;
use crate::process::poll_until;
use crate::traffic::{Direction, Transfer};

/// The receiver's buffer: some full-size segments.
const BUFFER: usize = 8 * 1024;
/// How long a sender that cannot write must have waited to be stuck. Its first probe of the window
/// comes after 0.2 s at the earliest, so it has been answered.
const STUCK: Duration = Duration::from_millis(500);
/// What no sender can write to a receiver that does not read.
const TOO_MUCH: usize = 16 * 1024 * 1024;

/// A connection whose receiver has stopped reading. It stays open until this is dropped.
#[derive(Debug)]
pub struct Unread {
    /// The connection.
    pub connection: Connection,
    /// How many bytes the sender has written, what waits in its own kernel included.
    pub sent: usize,
    /// How many of them the receiver has read.
    pub received: usize,
    direction: Direction,
}

impl Unread {
    /// Opens a connection between a socket in `client` and one in `server` that listens on `address`,
    /// and sends until the receiver's window is zero and the sender's own buffer is full.
    ///
    /// Of `transfer` it heeds the direction, the port and the limit.
    ///
    /// # Errors
    ///
    /// The connection cannot be opened, or is not stuck within the limit.
    pub fn fill(
        client: &Netns,
        server: &Netns,
        address: IpAddr,
        transfer: &Transfer,
    ) -> Result<Self> {
        let address = SocketAddr::new(address, transfer.port);
        let connection = Connection::open_small(client, server, address, BUFFER, transfer.limit)?;
        let mut unread = Self {
            connection,
            sent: 0,
            received: 0,
            direction: transfer.direction,
        };
        for end in [&unread.connection.near, &unread.connection.far] {
            end.set_nonblocking(true)
                .context("making a socket non-blocking")?;
        }
        unread.sent = write_until_stuck(unread.ends().0, Instant::now() + transfer.limit)?;
        Ok(unread)
    }

    /// Reads again until everything has arrived or `limit` has passed, and says whether it has.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub fn resume(&mut self, limit: Duration) -> Result<bool> {
        let deadline = Instant::now() + limit;
        let mut buffer = vec![0; 64 * 1024];
        while self.received < self.sent {
            let mut receiver = self.ends().1;
            match receiver.read(&mut buffer) {
                Ok(0) => bail!("the sender has ended the connection"),
                Ok(count) => self.received += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !wait(receiver, PollFlags::IN, deadline)? {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading again"),
            }
        }
        Ok(true)
    }

    /// The sender's end and the receiver's.
    fn ends(&self) -> (&TcpStream, &TcpStream) {
        let Connection { near, far, .. } = &self.connection;
        match self.direction {
            Direction::Download => (far, near),
            Direction::Upload => (near, far),
        }
    }
}

/// Writes to a non-blocking socket until it takes nothing for a while, and returns how many bytes it
/// took.
pub(crate) fn write_until_stuck(mut sender: &TcpStream, deadline: Instant) -> Result<usize> {
    let chunk = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    loop {
        match sender.write(&chunk) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !wait(sender, PollFlags::OUT, Instant::now() + STUCK)? {
                    return Ok(sent);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("sending to a receiver that does not read"),
        }
        ensure!(
            sent < TOO_MUCH && Instant::now() < deadline,
            "somebody reads: {sent} bytes were sent"
        );
    }
}

/// Waits until `socket` is ready, and says whether it was in time.
fn wait(socket: &TcpStream, ready: PollFlags, deadline: Instant) -> Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), ready)];
    poll_until(&mut fds, deadline)?;
    Ok(!fds[0].revents().is_empty())
}
