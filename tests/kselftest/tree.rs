//! The tree of Debian's programs that the selftests run in, with the selftests: fetched and unpacked, not
//! installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::command;
use lab::machine::Store;
use lab::packages::{self, Archive};

use super::helpers;

/// What the selftests call, and what their helpers are built with.
const PACKAGES: &[&str] = &[
    "arptables",
    "bash",
    "conntrack",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "ethtool",
    "findutils",
    "grep",
    "iperf3",
    "iproute2",
    "iptables",
    "iputils-ping",
    "ipvsadm",
    "kmod",
    "libc6-dev",
    "libmnl-dev",
    "mawk",
    "mount",
    "ncat",
    "netcat-openbsd",
    "nftables",
    "procps",
    "sed",
    "socat",
    "tcpdump",
    "util-linux",
];
/// What an installation would choose among alternatives.
const LINKS: [(&str, &str); 5] = [
    ("usr/bin/awk", "mawk"),
    ("usr/bin/nc", "nc.openbsd"),
    ("usr/bin/which", "which.debianutils"),
    ("usr/sbin/ip6tables", "xtables-nft-multi"),
    ("usr/sbin/iptables", "xtables-nft-multi"),
];
/// What no selftest reads: it would only fill a virtual machine's memory.
const UNUSED: [&str; 11] = [
    "usr/include",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/lib/udev",
    "usr/lib/systemd",
];
/// The package with the kernel's source, and the name of the archive in it.
const SOURCE: &str = "linux-source-6.12";
/// The selftests of the network, in the source and in the tree.
const SELFTESTS: (&str, &str) = ("tools/testing/selftests/net", "selftests/net");

/// The tree.
pub struct Tree {
    /// Its directory.
    pub root: PathBuf,
}

impl Tree {
    /// The one in `directory`, made of packages of `suite` if it is not there yet.
    pub fn ready(directory: &Path, store: &Store, suite: &str) -> Result<Self> {
        let root = directory.join("tree");
        if !root.is_dir() {
            println!("kselftest: fetching {SOURCE} and the programs of {suite}");
            let mirror = store.archive()?.mirror()?;
            let apt = directory.join("packages");
            let archive = Archive::of_suites(&apt, &mirror.suites(suite))?;
            archive.update()?;
            packages::make_whole(&root, |partial| fill(partial, &apt, &archive, store))?;
            fs::remove_dir_all(&apt).with_context(|| format!("cannot remove {}", apt.display()))?;
        }
        Ok(Self { root })
    }
}

/// Makes the tree in `root`, with `scratch` for what is fetched.
fn fill(root: &Path, scratch: &Path, archive: &Archive, store: &Store) -> Result<()> {
    // As base-files would, which may come after others.
    for directory in ["bin", "sbin", "lib", "lib64"] {
        make_directory(&root.join("usr").join(directory))?;
        link(&format!("usr/{directory}"), &root.join(directory))?;
    }
    packages::unpack(&archive.download_all(PACKAGES)?, root)?;
    for (name, target) in LINKS {
        link(target, &root.join(name))?;
    }
    let debs = scratch.join("source");
    archive.download(&[SOURCE.to_owned()], &debs)?;
    let source = scratch.join("unpacked");
    packages::unpack(&debs, &source)?;
    let tar = source.join("usr/src").join(format!("{SOURCE}.tar.xz"));
    let mut untar = Command::new(store.busybox()?);
    untar
        .arg("tar")
        .arg("-xJf")
        .arg(&tar)
        .arg("-C")
        .arg(&source);
    untar.arg(format!("{SOURCE}/{}", SELFTESTS.0));
    command::status(&mut untar)?;
    let to = root.join(SELFTESTS.1);
    for directory in ["selftests", "usr/local/bin"] {
        make_directory(&root.join(directory))?;
    }
    let from = source.join(SOURCE).join(SELFTESTS.0);
    fs::rename(&from, &to).with_context(|| format!("cannot rename {}", from.display()))?;
    helpers::build(root, &to)?;
    for unused in UNUSED {
        let _ = fs::remove_dir_all(root.join(unused));
    }
    // A virtual machine's kernel has its modules mounted here.
    make_directory(&root.join("usr/lib/modules"))
}

fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

fn link(target: &str, path: &Path) -> Result<()> {
    symlink(target, path).with_context(|| format!("cannot make {}", path.display()))
}
