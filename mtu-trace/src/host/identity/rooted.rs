//! Files in the root directory of a process, read from the host.
//!
//! Whoever owns the container decides what is there. So no symbolic link leads out of that root
//! (`openat2(2)`, `RESOLVE_IN_ROOT`), nothing but a regular file is opened, no more than a bound is
//! read, and a file system that answers when it pleases (FUSE, NFS, …) is not entered at all, nor one of
//! the kernel's own (proc, tracefs, …), whose files can wait for what may never come.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2};

use crate::host::mounts::remote_mounts;

/// More is not read of any file: engines keep some kilobytes about a container.
const MOST_BYTES: u64 = 4 << 20;

/// The root directory of a process.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// The mounts in it (`proc(5)`, `mountinfo`).
    pub mounts: Vec<u8>,
    /// Where file systems are mounted in it that may not answer.
    remote: Vec<Vec<u8>>,
}

/// What a file has in it, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileContent {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// When it, its owner, its rights or its name changed last (`st_ctime`), since the Epoch: no one
    /// sets that at will, other than the time of the last modification.
    pub changed: Duration,
}

/// How a path may lead to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRule {
    /// Over symbolic links as well, which lead nowhere but inside.
    Linked,
    /// Over none: the path is known from somewhere that a container may have a say in.
    Straight,
}

/// File systems whose regular files are the kernel's (`linux/magic.h`): proc, sysfs, debugfs, tracefs,
/// securityfs, cgroup, cgroup2, bpf, pstore.
const KERNELS_OWN: [u64; 9] = [
    0x9fa0,
    0x6265_6572,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x0027_e0eb,
    0x6367_7270,
    0xcafe_4a11,
    0x6165_676c,
];

impl Root {
    /// The root of a process; fails if that is gone, or may not be looked at.
    pub fn of(pid: i32) -> io::Result<Self> {
        let mounts = fs::read(format!("/proc/{pid}/mountinfo"))?;
        Ok(Self {
            directory: open_directory(Path::new(&format!("/proc/{pid}/root")))?,
            remote: remote_mounts(&mounts),
            mounts,
        })
    }

    /// A directory taken for a root.
    #[cfg(test)]
    pub fn at(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: open_directory(directory)?,
            mounts: Vec::new(),
            remote: Vec::new(),
        })
    }

    /// Reads a regular file, given by its path from this root, and since when it is what it is.
    ///
    /// # Errors
    ///
    /// If there is none, if it is something else, too long, or on a file system that may not
    /// answer. Without `openat2` (before Linux 5.6) nothing is read.
    pub fn read(&self, path: &str, way: LinkRule) -> io::Result<FileContent> {
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        if way == LinkRule::Straight {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        if !self.remote.is_empty() {
            // With links the way could lead anywhere.
            resolve |= ResolveFlags::NO_SYMLINKS;
            let below = |mount: &Vec<u8>| {
                let rest = path.as_bytes().strip_prefix(mount.as_slice());
                mount == b"/" || rest.is_some_and(|rest| rest.first() == Some(&b'/'))
            };
            if self.remote.iter().any(below) {
                return Err(io::Error::other("on a file system that may not answer"));
            }
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = openat2(&self.directory, path, flags, Mode::empty(), resolve)?;
        // Opening a device or a pipe can do harm or block: it is looked at first.
        if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("not a regular file"));
        }
        let kind = fstatfs(&found)?.f_type.cast_unsigned();
        if KERNELS_OWN.contains(&kind) {
            return Err(io::Error::other("a file of the kernel's own"));
        }
        let magic = format!("/proc/self/fd/{}", found.as_raw_fd());
        // Whoever has a lease on it could let the opening wait.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(magic, flags, Mode::empty())?);
        let bytes = read_whole(&file, MOST_BYTES)?;
        // After reading: what was written meanwhile is not missed.
        let metadata = file.metadata()?;
        let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
        let nanos = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
        let changed = Duration::new(seconds, nanos);
        Ok(FileContent { bytes, changed })
    }
}

/// Reads a file to its end, which fails if it has more bytes than `most`.
pub(crate) fn read_whole(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut bytes)?;
    if read as u64 > most {
        return Err(io::Error::other("too long"));
    }
    Ok(bytes)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{FileType, mknodat};

    use super::*;

    /// The command `F_SETSIG` of fcntl(2), which libc lacks.
    const SET_SIGNAL: libc::c_int = 10;

    struct Directory(std::path::PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mtt-root-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("root/sub")).expect("a directory");
            // What is outside must not be read.
            fs::write(path.join("secret"), "secret").expect("a file");
            fs::write(path.join("root/inside"), "inside").expect("a file");
            Self(path)
        }

        fn root(&self) -> Root {
            Root::at(&self.0.join("root")).expect("a root")
        }

        fn link(&self, name: &str, to: impl AsRef<Path>) {
            symlink(to, self.0.join("root").join(name)).expect("a link");
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn links_lead_nowhere_but_inside() {
        let directory = Directory::new("links");
        let root = directory.root();
        directory.link("absolute", "/inside");
        directory.link("up", "../../../../../../../../inside");
        directory.link("sub/chain", "../up");
        for path in [
            "inside",
            "/inside",
            "absolute",
            "up",
            "sub/chain",
            "sub/../../inside",
        ] {
            let found = root.read(path, LinkRule::Linked).expect(path);
            assert_eq!(found.bytes, b"inside", "{path}");
        }
        directory.link("host", "/etc/passwd");
        directory.link("secret", "../secret");
        directory.link("whole", directory.0.join("secret"));
        directory.link("directory", "/etc");
        directory.link("away", "..");
        directory.link("magic", "/proc/self/root");
        for path in [
            "host",
            "secret",
            "../secret",
            "whole",
            "directory/passwd",
            "away/secret",
            "magic/etc/passwd",
        ] {
            assert!(root.read(path, LinkRule::Linked).is_err(), "{path}");
        }
    }

    #[test]
    fn a_change_is_dated_whatever_the_file_says_of_itself() {
        let directory = Directory::new("dated");
        let root = directory.root();
        let epoch = std::time::SystemTime::UNIX_EPOCH;
        let before = epoch.elapsed().expect("after it") - Duration::from_secs(1);
        let file = File::options()
            .write(true)
            .open(directory.0.join("root/inside"))
            .expect("a file");
        file.set_modified(epoch).expect("its own");
        let content = root.read("inside", LinkRule::Linked).expect("there");
        assert_eq!(content.bytes, b"inside");
        let after = epoch.elapsed().expect("after it");
        assert!((before..=after).contains(&content.changed), "{content:?}");
    }

    #[test]
    fn a_straight_way_has_no_links() {
        let directory = Directory::new("straight");
        let root = directory.root();
        directory.link("link", "/inside");
        directory.link("around", "/sub");
        fs::write(directory.0.join("root/sub/file"), "there").expect("a file");
        for (path, is_straight) in [
            ("/inside", true),
            ("/sub/file", true),
            ("/link", false),
            ("/around/file", false),
        ] {
            assert!(root.read(path, LinkRule::Linked).is_ok(), "{path}");
            assert_eq!(
                root.read(path, LinkRule::Straight).is_ok(),
                is_straight,
                "{path}"
            );
        }
    }

    #[test]
    fn files_of_the_kernels_own_are_not_read() {
        let root = Root::at(Path::new("/")).expect("a root");
        for path in [
            "/proc/version",
            "/sys/kernel/mm/transparent_hugepage/enabled",
        ] {
            if Path::new(path).exists() {
                assert!(root.read(path, LinkRule::Linked).is_err(), "{path}");
            }
        }
    }

    #[test]
    fn only_regular_files_of_a_bounded_length_are_read() {
        let directory = Directory::new("kinds");
        let root = directory.root();
        // Opening a pipe to read from it would wait for a writer.
        let mode = Mode::RUSR | Mode::WUSR;
        let pipe = directory.0.join("root/pipe");
        mknodat(CWD, &pipe, FileType::Fifo, mode, 0).expect("a pipe");
        assert!(root.read("pipe", LinkRule::Linked).is_err());
        assert!(root.read("sub", LinkRule::Linked).is_err());
        assert!(root.read("missing", LinkRule::Linked).is_err());
        let long = File::create(directory.0.join("root/long")).expect("a file");
        long.set_len(MOST_BYTES).expect("room");
        let whole = root.read("long", LinkRule::Linked).expect("just so");
        assert_eq!(whole.bytes.len() as u64, MOST_BYTES);
        long.set_len(MOST_BYTES + 1).expect("room");
        assert!(root.read("long", LinkRule::Linked).is_err());
    }

    #[test]
    fn a_lease_does_not_let_the_reader_wait() {
        let directory = Directory::new("lease");
        let holder = File::options()
            .write(true)
            .open(directory.0.join("root/inside"))
            .expect("a file");
        let lease = |command, argument: libc::c_int| {
            // SAFETY: these commands take a number, and the descriptor is open.
            unsafe { libc::fcntl(holder.as_raw_fd(), command, argument) }
        };
        // Being told of it must not end this program.
        assert_eq!(lease(SET_SIGNAL, libc::SIGURG), 0);
        assert_eq!(lease(libc::F_SETLEASE, libc::c_int::from(libc::F_WRLCK)), 0);
        let read = directory.root().read("inside", LinkRule::Linked);
        let error = read.expect_err("it is not given up yet");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(lease(libc::F_SETLEASE, libc::c_int::from(libc::F_UNLCK)), 0);
        assert!(directory.root().read("inside", LinkRule::Linked).is_ok());
    }

    #[test]
    fn what_may_not_answer_is_not_entered() {
        let directory = Directory::new("remote");
        let mut root = directory.root();
        directory.link("link", "/inside");
        fs::write(directory.0.join("root/sub/file"), "there").expect("a file");
        root.remote = vec![b"/sub".to_vec()];
        assert!(root.read("/sub/file", LinkRule::Linked).is_err());
        assert!(root.read("/link", LinkRule::Linked).is_err());
        assert!(root.read("/inside", LinkRule::Linked).is_ok());
        root.remote = vec![b"/".to_vec()];
        assert!(root.read("/inside", LinkRule::Linked).is_err());
    }
}
