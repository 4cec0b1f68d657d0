//! The package server: HTTP in the lab's namespace outside the host, with files of several sizes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::Netns;
use rustix::net::sockopt::set_socket_linger;

/// The packages and their lengths: two that fit in a packet, as most of an index does, and two that
/// do not.
pub const PACKAGES: [(&str, usize); 4] = [
    ("index", 300),
    ("rake-13.2", 900),
    ("nokogiri-1.18", 40_000),
    ("grpc-1.70", 2_000_000),
];
/// The port where the server listens.
pub const PORT: u16 = 8080;
/// After so long without progress a download is given up.
const LIMIT: Duration = Duration::from_secs(30);

/// Downloads under way, by the port of the client.
type Open = Arc<Mutex<HashMap<SocketAddr, TcpStream>>>;

/// A server until this is dropped.
pub struct Server {
    listener: Arc<TcpListener>,
    open: Open,
}

impl Server {
    /// Starts one in `netns`.
    pub fn start(netns: &Netns) -> Result<Self> {
        // A socket stays in the namespace it was made in, whichever thread uses it.
        let listener = netns.run(|| {
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)))
                .context("the package server cannot listen")
        })?;
        let listener = Arc::new(listener);
        let open = Open::default();
        let (accepting, streams) = (Arc::clone(&listener), Arc::clone(&open));
        thread::spawn(move || {
            while let Ok((stream, client)) = accepting.accept() {
                if let Ok(copy) = stream.try_clone() {
                    lock(&streams).insert(client, copy);
                }
                let streams = Arc::clone(&streams);
                thread::spawn(move || {
                    // A client that goes away is its own affair.
                    let _ = serve(&stream);
                    lock(&streams).remove(&client);
                });
            }
        });
        Ok(Self { listener, open })
    }

    /// Breaks off the downloads that are open.
    pub fn hang_up(&self) {
        for (_, stream) in lock(&self.open).drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(self.listener.as_fd(), rustix::net::Shutdown::Both);
        self.hang_up();
    }
}

fn lock(open: &Open) -> MutexGuard<'_, HashMap<SocketAddr, TcpStream>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: &TcpStream) -> std::io::Result<()> {
    // What a client has not taken when it goes away is not sent to it again and again.
    set_socket_linger(stream, Some(Duration::ZERO))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the header does not matter, but has to be taken.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let name = request.split(' ').nth(1).unwrap_or_default();
    let name = name.trim_start_matches("/packages/");
    let mut to = stream;
    match PACKAGES.iter().find(|(package, _)| *package == name) {
        Some((_, length)) => {
            let header = "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n";
            write!(to, "{header}Content-Length: {length}\r\n\r\n")?;
            to.write_all(&vec![b'#'; *length])?;
        }
        None => write!(to, "HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
    }
    to.flush()?;
    // The client closes when it has all; until then the connection can be broken off.
    std::io::copy(&mut to, &mut std::io::sink()).map(drop)
}
