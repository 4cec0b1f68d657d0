//! Namespaces that are kept alive by a mount, such as those of `ip netns` and of container engines,
//! in the mount namespace of any process.
//!
//! `mountinfo` is read as bytes here rather than by the procfs crate: whoever owns a mount namespace
//! chooses its paths, and one that is not UTF-8 must not hide the rest.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::base::text::printable;
use crate::host::netns::{net_inode, reopen_nsfs};

/// Directories in which `ip netns` and CNI plugins keep namespaces by name.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// A mounted network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Inode number of the namespace file.
    pub inode: u64,
    /// Where, seen from the root of the process whose `mountinfo` it was.
    pub path: PathBuf,
    /// Whether the way there leads over a file system that answers when it pleases.
    pub unsafe_path: bool,
}

impl Mounted {
    /// The name that `ip netns` has for it, made printable.
    pub fn name(&self) -> Option<String> {
        let directory = self.path.parent()?;
        let is_named = NAMED.iter().any(|named| directory == Path::new(named));
        let name = self.path.file_name().filter(|_| is_named)?;
        Some(printable(name.as_bytes()))
    }
}

/// The network namespaces among the mounts of a `mountinfo` (`proc_pid_mountinfo(5)`).
pub(crate) fn parse(mountinfo: &[u8]) -> Vec<Mounted> {
    let nsfs = lines(mountinfo).filter(|line| line.fs_type == b"nsfs");
    let found = nsfs.filter_map(|line| Some((net_inode(line.root)?, line)));
    let mut found = found.peekable();
    if found.peek().is_none() {
        return Vec::new();
    }
    let mounts: HashMap<u32, (u32, bool)> = lines(mountinfo)
        .map(|line| (line.id, (line.parent, is_remote(line.fs_type))))
        .collect();
    found
        .map(|(inode, line)| Mounted {
            inode,
            path: PathBuf::from(OsString::from_vec(unescape(line.point))),
            unsafe_path: is_below_remote(&mounts, line.parent),
        })
        .collect()
}

/// Opens a mounted namespace in the root directory of a process. No symbolic link leads out of that
/// root, and nothing but a namespace file is opened.
pub(crate) fn open(pid: i32, path: &Path) -> io::Result<OwnedFd> {
    let root = rustix::fs::open(
        format!("/proc/{pid}/root"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let found = openat2(
        &root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?;
    reopen_nsfs(&found)
}

/// Where file systems are mounted that answer when they please.
pub(crate) fn remote_mounts(mountinfo: &[u8]) -> Vec<Vec<u8>> {
    lines(mountinfo)
        .filter(|line| is_remote(line.fs_type))
        .map(|line| unescape(line.point))
        .collect()
}

/// What is mounted where, as a line of `mountinfo` has it: paths are not unescaped.
pub(crate) struct MountLine<'a> {
    id: u32,
    parent: u32,
    /// Device number of the file system, as `major:minor`.
    pub device: &'a [u8],
    /// The directory or file of it.
    pub root: &'a [u8],
    /// Where that is seen.
    pub point: &'a [u8],
    fs_type: &'a [u8],
}

/// The lines of a `mountinfo` that can be read.
pub(crate) fn lines(mountinfo: &[u8]) -> impl Iterator<Item = MountLine<'_>> {
    let number = |field: &[u8]| str::from_utf8(field).ok()?.parse().ok();
    let lines = mountinfo.split(|&byte| byte == b'\n');
    lines.filter_map(move |line| {
        let mut fields = line.split(|&byte| byte == b' ');
        Some(MountLine {
            id: number(fields.next()?)?,
            parent: number(fields.next()?)?,
            device: fields.next()?,
            root: fields.next()?,
            point: fields.next()?,
            // Options, then any number of optional fields up to a hyphen, then the type.
            fs_type: fields.skip(1).skip_while(|field| *field != b"-").nth(1)?,
        })
    })
}

/// File systems in which a look-up waits for a server, or for a process of the container.
fn is_remote(fs_type: &[u8]) -> bool {
    [&b"fuse"[..], b"nfs", b"cifs", b"smb3", b"ceph", b"afs"]
        .iter()
        .any(|remote| fs_type.starts_with(remote))
}

fn is_below_remote(mounts: &HashMap<u32, (u32, bool)>, mut id: u32) -> bool {
    // The root mount is its own parent or has one that is not listed; the count guards against the
    // rest.
    for _ in 0..mounts.len() {
        match mounts.get(&id) {
            Some((_, true)) => return true,
            Some((parent, false)) if *parent != id => id = *parent,
            _ => return false,
        }
    }
    false
}

/// Undoes the octal escapes of `mountinfo` (`mangle_path`: space, tab, newline, backslash).
pub(crate) fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'\\'
            && let Some((digits @ [b'0'..=b'3', b'0'..=b'7', b'0'..=b'7'], after)) =
                rest.split_at_checked(3)
        {
            let digits = digits.iter().map(|digit| digit - b'0');
            plain.push(digits.fold(0, |value, digit| value * 8 + digit));
            rest = after;
        } else {
            plain.push(byte);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /run rw,nosuid shared:5 - tmpfs tmpfs rw
98 30 0:25 /netns /run/netns rw shared:5 - tmpfs tmpfs rw
99 98 0:4 net:[4026532177] /run/netns/blue\\040\\134x rw shared:7 - nsfs nsfs rw
100 30 0:4 mnt:[4026532178] /run/snapd/ns/x.mnt rw - nsfs nsfs rw
101 30 0:4 net:[4026532179] /run/docker/netns/0123456789ab rw - nsfs nsfs rw
110 22 0:60 / /home/\xff\xfe rw - fuse.sshfs x rw
111 110 0:4 net:[4026532180] /home/\xff\xfe/ns rw - nsfs nsfs rw
garbage
";

    #[test]
    fn network_namespaces_are_found_among_mounts() {
        let found = parse(MOUNTS);
        let inodes: Vec<u64> = found.iter().map(|mounted| mounted.inode).collect();
        assert_eq!(inodes, [4_026_532_177, 4_026_532_179, 4_026_532_180]);
        assert_eq!(found[0].path, Path::new("/run/netns/blue \\x"));
        assert_eq!(found[0].name().as_deref(), Some("blue \\x"));
        assert_eq!(found[1].name(), None);
        assert!(!found[1].unsafe_path);
        assert!(found[2].unsafe_path);
        assert_eq!(found[2].path.as_os_str().as_bytes(), b"/home/\xff\xfe/ns");
        assert_eq!(remote_mounts(MOUNTS), [b"/home/\xff\xfe"]);
    }

    #[test]
    fn only_namespace_files_are_opened() {
        let directory = std::env::temp_dir().join(format!("mtt-mounts-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("a directory");
        let link = directory.join("link");
        std::os::unix::fs::symlink("/dev/null", &link).expect("a link");
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let to_device = open(pid, &link).expect_err("a device");
        std::fs::remove_file(&link).expect("it is there");
        std::os::unix::fs::symlink("/proc/self/ns/net", &link).expect("a link");
        let to_magic = open(pid, &link).expect_err("a magic link");
        std::fs::remove_dir_all(&directory).expect("it is there");
        assert_eq!(to_device.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(to_magic.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn odd_input_is_no_mount() {
        assert!(parse(b"").is_empty());
        assert!(parse(b"1 2 3").is_empty());
        assert!(parse(b"1 1 0:4 net:[x] /a rw - nsfs nsfs rw").is_empty());
        // A mount that is its own parent does not loop.
        assert_eq!(parse(b"1 1 0:4 net:[7] /a rw - nsfs nsfs rw").len(), 1);
        // Two that are each other's parents do not either.
        let ring = b"1 2 0:4 net:[7] /a rw - nsfs nsfs rw\n2 1 0:1 / / rw - tmpfs x rw\n";
        assert!(!parse(ring)[0].unsafe_path);
        assert_eq!(unescape(b"a\\04\\999\\"), b"a\\04\\999\\");
    }
}
