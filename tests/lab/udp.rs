//! UDP that may not be fragmented: datagrams one way, and a handshake as QUIC makes it.
//!
//! Nobody repeats a datagram, so a hole shows as what did not arrive.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    set_socket_recv_buffer_size,
};

use crate::address::Family;
use crate::netns::Netns;
use crate::process::poll_until;
use crate::traffic::Direction;

/// The port that listens.
const PORT: u16 = 4433;
/// What both ends of QUIC pad their first datagrams to (RFC 9000, section 14.1).
const INITIAL: usize = 1200;

/// What a sender does about the path MTU. Either way its packets have DF set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// Refuses what is longer than the path MTU as the kernel knows it (`IP_PMTUDISC_DO`).
    Do,
    /// Sends what the interface takes and ignores the path MTU (`IP_PMTUDISC_PROBE`).
    Probe,
}

/// Datagrams to send, evenly spaced.
#[derive(Debug, Clone, Copy)]
pub struct Datagrams {
    /// The payload of each, bytes; 28 less than the IPv4 packet, 48 less than the IPv6 one.
    pub bytes: usize,
    /// How many.
    pub count: usize,
    /// From one to the next.
    pub interval: Duration,
    /// How long to wait for what is missing when all were sent.
    pub patience: Duration,
    /// What the sender does about the path MTU.
    pub discovery: Discovery,
}

impl Datagrams {
    /// Ten of this payload within 100 ms, whatever the path MTU.
    #[must_use]
    pub const fn probing(bytes: usize) -> Self {
        Self {
            bytes,
            count: 10,
            interval: Duration::from_millis(10),
            patience: Duration::from_millis(300),
            discovery: Discovery::Probe,
        }
    }

    /// Ten that fill a packet of 1500 bytes.
    #[must_use]
    pub const fn full(family: Family) -> Self {
        Self::probing(match family {
            Family::V4 => 1472,
            Family::V6 => 1452,
        })
    }

    /// The same from a sender that heeds the path MTU.
    #[must_use]
    pub const fn heeding(self) -> Self {
        Self {
            discovery: Discovery::Do,
            ..self
        }
    }
}

/// What became of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// How many the kernel took.
    pub sent: usize,
    /// How many it refused with EMSGSIZE.
    pub refused: usize,
    /// How many arrived.
    pub arrived: usize,
    /// How many arrived once more.
    pub repeated: usize,
}

/// Sends `datagrams` from a socket in `from` to one in `to` that listens on `address`.
///
/// # Errors
///
/// A namespace has no such address or route, or sending fails with another error than EMSGSIZE.
pub fn send(from: &Netns, to: &Netns, address: IpAddr, datagrams: &Datagrams) -> Result<Delivery> {
    let receiver = listen(to, address)?;
    let sender = socket(from, address, datagrams.discovery)?;
    deliver(
        &sender,
        SocketAddr::new(address, PORT),
        &receiver,
        datagrams,
    )
}

/// A socket that has datagrams in its buffer, and nobody who reads them.
#[derive(Debug)]
pub struct Unread {
    /// How many were sent.
    pub sent: usize,
    _receiver: UdpSocket,
}

/// Sends `datagrams` to a socket with room for a few only: the others are dropped.
///
/// # Errors
///
/// As [`send`].
pub fn overflow(
    from: &Netns,
    to: &Netns,
    address: IpAddr,
    datagrams: &Datagrams,
) -> Result<Unread> {
    let receiver = listen(to, address)?;
    // The kernel makes the smallest of it that it allows.
    set_socket_recv_buffer_size(&receiver, 1).context("setting SO_RCVBUF")?;
    let sender = socket(from, address, datagrams.discovery)?;
    let payload = vec![b'x'; datagrams.bytes];
    for _ in 0..datagrams.count {
        sender
            .send_to(&payload, SocketAddr::new(address, PORT))
            .with_context(|| format!("sending to {address}"))?;
        // Nothing comes: this is the time from one to the next.
        receive(&sender, Instant::now() + datagrams.interval)?;
    }
    Ok(Unread {
        sent: datagrams.count,
        _receiver: receiver,
    })
}

/// How a QUIC-like connection went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quic {
    /// Whether the 1200 bytes of either end arrived at the other.
    pub handshake: bool,
    /// What became of the datagrams after it.
    pub data: Delivery,
}

/// Exchanges a datagram of 1200 bytes each way between `client` and `server`, which listens on
/// `address`, and then sends `datagrams`.
///
/// # Errors
///
/// As [`send`].
pub fn quic(
    client: &Netns,
    server: &Netns,
    address: IpAddr,
    direction: Direction,
    datagrams: &Datagrams,
) -> Result<Quic> {
    let far = listen(server, address)?;
    let near = socket(client, address, datagrams.discovery)?;
    discover(&far, address, datagrams.discovery)?;
    let initial = vec![b'i'; INITIAL];
    near.send_to(&initial, SocketAddr::new(address, PORT))
        .context("sending the client's initial datagram")?;
    let deadline = Instant::now() + datagrams.patience;
    let mut outcome = Quic {
        handshake: false,
        data: Delivery::default(),
    };
    // The address as the server sees it, which is another than the client's own behind a NAT.
    let Some(Datagram { from: client, .. }) = receive(&far, deadline)? else {
        return Ok(outcome);
    };
    far.send_to(&initial, client)
        .context("sending the server's initial datagram")?;
    let Some(Datagram { from: server, .. }) = receive(&near, deadline)? else {
        return Ok(outcome);
    };
    outcome.handshake = true;
    outcome.data = match direction {
        Direction::Upload => deliver(&near, server, &far, datagrams)?,
        Direction::Download => deliver(&far, client, &near, datagrams)?,
    };
    Ok(outcome)
}

/// Listens on `address` in `netns`.
fn listen(netns: &Netns, address: IpAddr) -> Result<UdpSocket> {
    bind(netns, SocketAddr::new(address, PORT))
}

/// A socket that sends to `peer`. It is not connected: an ICMP is then no error of the next datagram.
fn socket(netns: &Netns, peer: IpAddr, discovery: Discovery) -> Result<UdpSocket> {
    let any: SocketAddr = if peer.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = bind(netns, any)?;
    discover(&socket, peer, discovery)?;
    Ok(socket)
}

fn bind(netns: &Netns, address: SocketAddr) -> Result<UdpSocket> {
    let socket = netns
        .run(|| UdpSocket::bind(address).with_context(|| format!("binding UDP to {address}")))?;
    socket
        .set_nonblocking(true)
        .context("making a socket non-blocking")?;
    Ok(socket)
}

fn discover(socket: &UdpSocket, peer: IpAddr, discovery: Discovery) -> Result<()> {
    match (peer, discovery) {
        (IpAddr::V4(_), Discovery::Do) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO),
        (IpAddr::V4(_), Discovery::Probe) => {
            set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE)
        }
        (IpAddr::V6(_), Discovery::Do) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO),
        (IpAddr::V6(_), Discovery::Probe) => {
            set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE)
        }
    }
    .context("setting IP_MTU_DISCOVER")
}

fn deliver(
    sender: &UdpSocket,
    address: SocketAddr,
    receiver: &UdpSocket,
    datagrams: &Datagrams,
) -> Result<Delivery> {
    let mut payload = vec![b'x'; datagrams.bytes];
    ensure!(
        payload.len() >= NUMBER,
        "a datagram has {NUMBER} bytes at least"
    );
    let mut delivery = Delivery::default();
    let mut arrivals = Arrivals(vec![false; datagrams.count]);
    for number in 0..datagrams.count {
        payload[..NUMBER].copy_from_slice(&number.to_ne_bytes());
        match sender.send_to(&payload, address) {
            Ok(_) => delivery.sent += 1,
            Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
                delivery.refused += 1;
            }
            Err(error) => return Err(error).with_context(|| format!("sending to {address}")),
        }
        // The time to the next one is spent on what arrives.
        let next = Instant::now() + datagrams.interval;
        while let Some(datagram) = receive(receiver, next)? {
            arrivals.note(&datagram, &mut delivery);
        }
    }
    let deadline = Instant::now() + datagrams.patience;
    while delivery.arrived < delivery.sent
        && let Some(datagram) = receive(receiver, deadline)?
    {
        arrivals.note(&datagram, &mut delivery);
    }
    Ok(delivery)
}

/// How many bytes of a datagram are its number.
const NUMBER: usize = size_of::<usize>();

/// Which datagrams have arrived, by number.
struct Arrivals(Vec<bool>);

impl Arrivals {
    /// Counts `datagram`; a late repetition of an initial datagram has no number of these.
    fn note(&mut self, datagram: &Datagram, delivery: &mut Delivery) {
        match self.0.get_mut(usize::from_ne_bytes(datagram.start)) {
            Some(true) => delivery.repeated += 1,
            Some(seen) => {
                *seen = true;
                delivery.arrived += 1;
            }
            None => {}
        }
    }
}

/// A datagram that has arrived.
struct Datagram {
    from: SocketAddr,
    start: [u8; NUMBER],
}

/// Takes one datagram; `None` when none has come until `deadline`.
fn receive(socket: &UdpSocket, deadline: Instant) -> Result<Option<Datagram>> {
    // The kernel cuts off what does not fit.
    let mut start = [0; NUMBER];
    loop {
        match socket.recv_from(&mut start) {
            Ok((_, from)) => return Ok(Some(Datagram { from, start })),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("receiving a datagram"),
        }
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        poll_until(&mut fds, deadline)?;
        if fds[0].revents().is_empty() {
            return Ok(None);
        }
    }
}
