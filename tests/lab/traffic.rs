//! TCP traffic of known size, bounded in bytes and time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::net::connect_unspec;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::address::Family;
use crate::connection::Connection;
use crate::netns::Netns;
use crate::patience::patient;

/// What a client asks first: a small packet after the handshake, as every protocol has it.
const REQUEST: &[u8; 16] = b"GET /object 1.0\n";
/// What a receiver answers to each segment of a paced transfer.
const ACKNOWLEDGE: &[u8; 1] = b".";

/// Which way the payload goes, seen from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The server sends it.
    Download,
    /// The client sends it.
    Upload,
}

/// One TCP transfer to make.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    /// Which way the payload goes.
    pub direction: Direction,
    /// Its length.
    pub bytes: usize,
    /// Send this many bytes at a time and wait for the receiver's answer to each; `None` writes all
    /// at once.
    pub paced: Option<usize>,
    /// Give up after this time. Sized for a stall: three retransmissions are at 0.2, 0.6 and 1.5 s.
    pub limit: Duration,
    /// The IP version.
    pub family: Family,
    /// The server's port.
    pub port: u16,
}

impl Transfer {
    /// The server sends `bytes` in one write.
    #[must_use]
    pub const fn download(bytes: usize) -> Self {
        Self {
            direction: Direction::Download,
            bytes,
            paced: None,
            limit: Duration::from_millis(3500),
            family: Family::V4,
            port: 8080,
        }
    }

    /// The client sends `bytes` in one write.
    #[must_use]
    pub const fn upload(bytes: usize) -> Self {
        Self {
            direction: Direction::Upload,
            ..Self::download(bytes)
        }
    }

    /// The same, `segment` bytes at a time, each after the receiver's answer to the one before.
    #[must_use]
    pub const fn paced(self, segment: usize) -> Self {
        Self {
            paced: Some(segment),
            ..self
        }
    }

    /// The same over IPv6.
    #[must_use]
    pub const fn v6(self) -> Self {
        Self {
            family: Family::V6,
            ..self
        }
    }

    /// The same with another time limit.
    #[must_use]
    pub const fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }
}

/// How a transfer went. The connection stays open, stalled or idle, until this is dropped.
#[derive(Debug)]
pub struct Outcome {
    /// How many payload bytes the receiver read.
    pub received: usize,
    /// How many were to be sent.
    pub expected: usize,
    /// From the first write to the last read, or to giving up.
    pub elapsed: Duration,
    /// Why it ended early; `None` when it completed.
    pub failure: Option<ErrorKind>,
    /// The client's address as the client's namespace has it.
    pub client: SocketAddr,
    /// The server's address as the client sees it.
    pub server: SocketAddr,
    /// The connection, for what comes after.
    pub connection: Connection,
}

impl Outcome {
    /// Whether everything arrived.
    #[must_use]
    pub fn completed(&self) -> bool {
        self.failure.is_none() && self.received == self.expected
    }

    /// Whether the time was up before everything had arrived, with the connection still there.
    #[must_use]
    pub fn hung(&self) -> bool {
        self.failure == Some(ErrorKind::TimedOut) && self.received < self.expected
    }
}

/// Makes `transfer` between a socket in `client` and one in `server` that listens on `address`.
///
/// # Errors
///
/// The connection could not be opened. A transfer that fails later is an [`Outcome`].
pub fn exchange(
    client: &Netns,
    server: &Netns,
    address: IpAddr,
    transfer: &Transfer,
) -> Result<Outcome> {
    let address = SocketAddr::new(address, transfer.port);
    carry(
        Connection::open(client, server, address, transfer.limit)?,
        transfer,
    )
}

/// Makes `transfer` on a connection that is open: the request, and the payload when it has arrived.
///
/// Its family and port are those of the connection.
///
/// # Errors
///
/// A thread cannot be started or panicked.
pub fn carry(connection: Connection, transfer: &Transfer) -> Result<Outcome> {
    follow(connection, transfer, |near, far| {
        near.write_all(REQUEST)
            .and_then(|()| far.read_exact(&mut [0; REQUEST.len()]))
    })
}

/// Sends the payload of `transfer` on a connection that is open, without being asked for it.
///
/// # Errors
///
/// A thread cannot be started or panicked.
pub fn push(connection: Connection, transfer: &Transfer) -> Result<Outcome> {
    follow(connection, transfer, |_, _| Ok(()))
}

/// Sends a request that the server answers with a reset: the outcome fails with
/// [`ErrorKind::ConnectionReset`] and nothing was received.
///
/// # Errors
///
/// A thread cannot be started or panicked.
pub fn refuse(connection: Connection, transfer: &Transfer) -> Result<Outcome> {
    follow(connection, transfer, |near, far| {
        near.write_all(REQUEST)?;
        far.read_exact(&mut [0; REQUEST.len()])?;
        // A socket that is told to forget its peer resets the connection at once.
        connect_unspec(far.stream)?;
        near.read_exact(&mut [0])
    })
}

/// Makes a transfer whose payload follows when `first` has succeeded.
fn follow(
    connection: Connection,
    transfer: &Transfer,
    first: impl FnOnce(&mut Timed<'_>, &mut Timed<'_>) -> io::Result<()>,
) -> Result<Outcome> {
    let start = Instant::now();
    let deadline = start + patient(transfer.limit);
    let [mut near, mut far] =
        [&connection.near, &connection.far].map(|stream| Timed { stream, deadline });
    let (received, failure) = match first(&mut near, &mut far) {
        Ok(()) => answer(&mut near, &mut far, transfer)?,
        Err(error) => (0, Some(kind(&error))),
    };
    Ok(Outcome {
        received,
        expected: transfer.bytes,
        elapsed: start.elapsed(),
        failure,
        client: connection.client,
        server: connection.server,
        connection,
    })
}

/// Sends the payload from one end to the other, both at once.
fn answer<'a>(
    near: &mut Timed<'a>,
    far: &mut Timed<'a>,
    transfer: &Transfer,
) -> Result<(usize, Option<ErrorKind>)> {
    let (sender, receiver) = match transfer.direction {
        Direction::Download => (far, near),
        Direction::Upload => (near, far),
    };
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(sender, transfer.bytes, transfer.paced));
        let (received, outcome) = receive(receiver, transfer.bytes, transfer.paced);
        // A receiver that gave up leaves a sender that waits for room: its deadline is the same.
        let sent = sending
            .join()
            .map_err(|_| anyhow!("the sending thread panicked"))?;
        Ok((received, outcome.and(sent).err().map(|error| kind(&error))))
    })
}

/// Listens on `address` in `server`.
///
/// # Errors
///
/// The namespace has no such address, or the port is taken.
pub fn listen(server: &Netns, address: SocketAddr) -> Result<TcpListener> {
    server.run(|| TcpListener::bind(address).with_context(|| format!("listening on {address}")))
}

/// Tries to open a connection from `client` to `address` for at most `limit`.
///
/// # Errors
///
/// The outer one: the namespace cannot be entered. The inner one: the kernel's answer, or
/// [`ErrorKind::TimedOut`].
pub fn connect(
    client: &Netns,
    address: SocketAddr,
    limit: Duration,
) -> Result<io::Result<TcpStream>> {
    client.run(|| Ok(TcpStream::connect_timeout(&address, limit)))
}

fn send(stream: &mut Timed<'_>, bytes: usize, paced: Option<usize>) -> io::Result<()> {
    let payload = vec![b'x'; bytes];
    let Some(segment) = paced else {
        return stream.write_all(&payload);
    };
    payload.chunks(segment).try_for_each(|chunk| {
        stream.write_all(chunk)?;
        stream.read_exact(&mut [0; ACKNOWLEDGE.len()])
    })
}

fn receive(stream: &mut Timed<'_>, bytes: usize, paced: Option<usize>) -> (usize, io::Result<()>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut received = 0;
    while received < bytes {
        // A paced sender waits at the end of each segment, so no read goes past it.
        let segment = paced.unwrap_or(bytes);
        let wanted = (segment - received % segment)
            .min(bytes - received)
            .min(buffer.len());
        match stream.read(&mut buffer[..wanted]) {
            Ok(0) => return (received, Err(ErrorKind::UnexpectedEof.into())),
            Ok(count) => received += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (received, Err(error)),
        }
        let at_end = received == bytes || received.is_multiple_of(segment);
        if paced.is_some()
            && at_end
            && let Err(error) = stream.write_all(ACKNOWLEDGE)
        {
            return (received, Err(error));
        }
    }
    (received, Ok(()))
}

/// A stream whose every read and write ends at one deadline.
struct Timed<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Timed<'_> {
    fn arm(&self, way: Timeout) -> io::Result<()> {
        // Zero would mean no limit at all.
        let left = self.deadline.saturating_duration_since(Instant::now());
        set_socket_timeout(self.stream, way, Some(left.max(Duration::from_millis(1))))?;
        Ok(())
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.arm(Timeout::Recv)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.arm(Timeout::Send)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket's time limit shows as `WouldBlock`; callers think of it as a time that is up.
fn kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut,
        other => other,
    }
}
