//! The package server: HTTP in the lab's namespace outside the host, with files of several sizes.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::Netns;

/// The packages and their lengths: two that fit in a packet, as most of an index does, and two that
/// do not.
pub const PACKAGES: [(&str, usize); 4] = [
    ("index", 300),
    ("rake-13.2", 900),
    ("nokogiri-1.18", 40_000),
    ("grpc-1.70", 2_000_000),
];
/// Where it listens.
pub const PORT: u16 = 8080;
/// After so long without progress a download is given up.
const LIMIT: Duration = Duration::from_secs(30);

/// A server until this is dropped.
pub struct Server {
    listener: Arc<TcpListener>,
    open: Arc<Mutex<Vec<TcpStream>>>,
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
        let open = Arc::new(Mutex::new(Vec::new()));
        let (accepting, streams) = (Arc::clone(&listener), Arc::clone(&open));
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                if let Ok(copy) = stream.try_clone() {
                    let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
                    streams.push(copy);
                }
                // A client that goes away is its own affair.
                thread::spawn(move || serve(&stream));
            }
        });
        Ok(Self { listener, open })
    }

    /// Ends the downloads that are open, which may be stalled.
    pub fn hang_up(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
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

fn serve(stream: &TcpStream) -> std::io::Result<()> {
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
    to.flush()
}
