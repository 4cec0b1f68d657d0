//! Opening a network namespace and doing something inside it.
//!
//! A file descriptor of a namespace keeps it alive, with its devices and their peers elsewhere
//! (measured: after `ip netns del` a veth's other end stays for as long as any descriptor of the
//! namespace file is open, `O_PATH` ones included, or any socket made inside). So a [`NetnsFile`]
//! must never be kept beyond the work it was opened for.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::resume_unwind;
use std::path::Path;
use std::{fs, io, thread};

use rustix::fs::{FsWord, Mode, OFlags, fstat, fstatfs};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::model::network::NetnsId;

/// `NSFS_MAGIC` of `linux/magic.h`.
const NSFS_MAGIC: FsWord = 0x6e73_6673;

/// An open network namespace. It lives as long as this does: drop it soon.
#[derive(Debug)]
pub struct NetnsFile {
    /// Descriptor of the namespace file.
    pub fd: OwnedFd,
    /// Inode number of that file.
    pub inode: u64,
    /// What the namespace is known by.
    pub id: NetnsId,
    /// Its cookie, `None` before Linux 5.14.
    pub cookie: Option<u64>,
}

impl NetnsFile {
    /// Opens a namespace by the path of its file, such as `/proc/1/ns/net` or `/run/netns/name`.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, is no namespace file, or if the namespace cannot be entered.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::from_fd(open_nsfs(path.as_ref())?)
    }

    /// Takes an open namespace file, which fails if its namespace cannot be entered.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let inode = inode(&fd)?;
        let cookie = run(&fd, cookie)?.ok();
        Ok(Self {
            fd,
            inode,
            id: NetnsId(cookie.unwrap_or(inode)),
            cookie,
        })
    }

    /// What the namespace of a file is known by; errors are those of [`NetnsFile::open`].
    pub fn id_of(path: &Path) -> io::Result<NetnsId> {
        Self::open(path).map(|file| file.id)
    }

    /// Opens the namespace of the calling thread; fails only if `/proc` is missing.
    pub fn current() -> io::Result<Self> {
        Self::open("/proc/thread-self/ns/net")
    }

    /// Runs something inside the namespace, on a thread of its own, and waits for it.
    ///
    /// The calling thread never moves: a thread pool must not get back a thread that sits in
    /// another namespace. Sockets that are made inside belong to the namespace from then on,
    /// wherever they are used, and keep it alive. `/proc/sys/net` shows the values of the reading
    /// thread's namespace, so it can be read inside too.
    ///
    /// # Errors
    ///
    /// If no thread can be had, or without the permission to enter (`CAP_SYS_ADMIN`).
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> io::Result<T> {
        run(&self.fd, inside)
    }
}

/// Opens a file of nsfs, and nothing else: what is found at the path is looked at before it is
/// opened, because opening a device or a pipe can do harm or block.
pub(crate) fn open_nsfs(path: &Path) -> io::Result<OwnedFd> {
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    reopen_nsfs(&found)
}

/// Opens for reading what an `O_PATH` descriptor stands for, if that is a file of nsfs.
pub(crate) fn reopen_nsfs(found: &OwnedFd) -> io::Result<OwnedFd> {
    if fstatfs(found)?.f_type != NSFS_MAGIC {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "not a namespace file"));
    }
    let magic = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(magic, flags, Mode::empty())?)
}

/// Inode number of an open file.
pub(crate) fn inode(fd: &OwnedFd) -> io::Result<u64> {
    Ok(fstat(fd)?.st_ino)
}

/// The number in `net:[4026531840]`.
pub(crate) fn net_inode(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    str::from_utf8(number).ok()?.parse().ok()
}

/// Inode number of the network namespace that a link in `/proc` is to, which is not opened.
pub(crate) fn linked_inode(link: impl AsRef<Path>) -> io::Result<u64> {
    let inode = net_inode(fs::read_link(link)?.as_os_str().as_bytes());
    inode.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn run<T: Send>(netns: &OwnedFd, inside: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_thread("netns", || {
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(inside())
    })
}

/// Does something on a thread of its own, which may change namespaces since it ends with that.
pub(crate) fn on_thread<T: Send>(
    name: &str,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The cookie of the calling thread's namespace.
fn cookie() -> io::Result<u64> {
    // A Unix socket: every namespace has them, whatever its protocols.
    let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    let mut cookie = 0_u64;
    let mut length: libc::socklen_t = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: the pointers are to locals that outlive the call, and `length` is the size of the
    // value, which the kernel does not exceed.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_namespaces_are_refused() {
        for path in ["/dev/null", "/proc/self/status", "/"] {
            let error = NetnsFile::open(path).expect_err(path);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        assert!(NetnsFile::open("/nowhere").is_err());
    }
}
