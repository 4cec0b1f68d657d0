//! A TCP connection with both of its ends in hand.
//!
//! A socket belongs to the namespace it was made in, whichever thread uses it: only its making has to
//! happen inside.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::net::sockopt::{
    Timeout, set_socket_linger, set_socket_recv_buffer_size, set_socket_reuseaddr,
    set_socket_timeout,
};
use rustix::net::{self, AddressFamily, Shutdown, SocketFlags, SocketType, shutdown};

use crate::netns::Netns;
use crate::patience::patient;
use crate::traffic::{connect, listen};

/// A connection. It stays open, stalled or idle, until this is dropped.
#[derive(Debug)]
pub struct Connection {
    /// The client's end.
    pub near: TcpStream,
    /// The server's end.
    pub far: TcpStream,
    /// The client's address as the client's namespace has it.
    pub client: SocketAddr,
    /// The server's address as the client sees it.
    pub server: SocketAddr,
}

impl Connection {
    /// Opens a connection between a socket in `client` and one in `server` that listens on `address`.
    ///
    /// # Errors
    ///
    /// The namespace has no such address, the port is taken, or the handshake takes more than `limit`.
    pub fn open(
        client: &Netns,
        server: &Netns,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<Self> {
        Self::open_published(client, server, address, address, limit)
    }

    /// The same where the client has another address for the server than the server itself, which
    /// listens on `address`.
    ///
    /// # Errors
    ///
    /// As [`Connection::open`].
    pub fn open_published(
        client: &Netns,
        server: &Netns,
        published: SocketAddr,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<Self> {
        let listener = listen(server, address)?;
        let near = connect(client, published, patient(limit))?
            .with_context(|| format!("connecting to {published}"))?;
        Self::accept(near, &listener, published, limit)
    }

    /// The same with little room at either end for what is not read: `bytes` of receive buffer, of
    /// which the kernel makes the double.
    ///
    /// # Errors
    ///
    /// As [`Connection::open`].
    pub fn open_small(
        client: &Netns,
        server: &Netns,
        address: SocketAddr,
        bytes: usize,
        limit: Duration,
    ) -> Result<Self> {
        // Set before the handshake, since the window that is offered there may not shrink later.
        let socket = || -> io::Result<OwnedFd> {
            let family = match address {
                SocketAddr::V4(_) => AddressFamily::INET,
                SocketAddr::V6(_) => AddressFamily::INET6,
            };
            let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            set_socket_recv_buffer_size(&socket, bytes)?;
            Ok(socket)
        };
        let listener = server.run(|| {
            let bind = || -> io::Result<OwnedFd> {
                let socket = socket()?;
                set_socket_reuseaddr(&socket, true)?;
                net::bind(&socket, &address)?;
                net::listen(&socket, 1)?;
                Ok(socket)
            };
            bind().with_context(|| format!("listening on {address}"))
        })?;
        let near = client.run(|| {
            let connect = || -> io::Result<OwnedFd> {
                let socket = socket()?;
                // Also limits how long connecting takes.
                set_socket_timeout(&socket, Timeout::Send, Some(patient(limit)))?;
                net::connect(&socket, &address)?;
                Ok(socket)
            };
            connect().with_context(|| format!("connecting to {address}"))
        })?;
        Self::accept(near.into(), &listener.into(), address, limit)
    }

    fn accept(
        near: TcpStream,
        listener: &TcpListener,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<Self> {
        set_socket_timeout(listener, Timeout::Recv, Some(patient(limit)))
            .context("limiting the wait for the connection")?;
        let (far, _) = listener.accept().context("accepting the connection")?;
        // Closing is not enough to free the port at once: a child process that another thread is
        // just starting has a copy of the descriptor until it runs its own program.
        shutdown(listener, Shutdown::Both).context("closing the listening socket")?;
        near.set_nodelay(true).context("setting TCP_NODELAY")?;
        far.set_nodelay(true).context("setting TCP_NODELAY")?;
        let client = near.local_addr().context("reading the client's address")?;
        Ok(Self {
            near,
            far,
            client,
            server: address,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for end in [&self.near, &self.far] {
            // A reset instead of a FIN: the socket of a stalled connection would live on for minutes
            // to retransmit, and keep its namespace alive with it.
            let _ = set_socket_linger(end, Some(Duration::ZERO));
        }
    }
}
