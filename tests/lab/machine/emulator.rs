//! The programs that virtual machines need and this machine may lack: an emulator and a busybox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::packages::{self, Archive};
use anyhow::{Context, Result};

const QEMU: &str = "qemu-system-x86_64";
const QEMU_PACKAGE: &str = "qemu-system-x86";
const BUSYBOX_PACKAGE: &str = "busybox-static";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// What emulates a machine.
pub struct Emulator {
    program: PathBuf,
    /// Where its package was unpacked; `None` for an installed one.
    root: Option<PathBuf>,
}

impl Emulator {
    /// The installed one, else the one in `cache`, fetched from `archive` if it is not there yet.
    pub fn get<'a>(cache: &Path, archive: impl FnOnce() -> Result<&'a Archive>) -> Result<Self> {
        if let Some(program) = command::find(QEMU) {
            return Ok(Self {
                program,
                root: None,
            });
        }
        let root = cache.join("qemu");
        if !root.is_dir() {
            println!("vm: fetching {QEMU_PACKAGE}");
            let debs = archive()?.download_whole(QEMU_PACKAGE)?;
            unpack_whole(&debs, &root)?;
        }
        Ok(Self {
            program: root.join("usr/bin").join(QEMU),
            root: Some(root),
        })
    }

    /// A command that starts it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(root) = &self.root {
            let libraries = root.join(LIBRARIES);
            // Its own libraries before the machine's, its own plugins, and its own firmware.
            command
                .env("LD_LIBRARY_PATH", &libraries)
                .env("QEMU_MODULE_DIR", libraries.join("qemu"));
            for firmware in ["usr/share/qemu", "usr/share/seabios"] {
                command.arg("-L").arg(root.join(firmware));
            }
        }
        command
    }
}

/// The static busybox in `cache`, fetched from `archive` if it is not there yet.
pub fn busybox<'a>(cache: &Path, archive: impl FnOnce() -> Result<&'a Archive>) -> Result<PathBuf> {
    let root = cache.join("busybox");
    if !root.is_dir() {
        println!("vm: fetching {BUSYBOX_PACKAGE}");
        let debs = cache.join("busybox.packages");
        let _ = fs::remove_dir_all(&debs);
        archive()?.download(&[BUSYBOX_PACKAGE.to_owned()], &debs)?;
        unpack_whole(&debs, &root)?;
    }
    packages::busybox(&root)
}

/// Unpacks the packages in `debs` into `root`, and removes them.
fn unpack_whole(debs: &Path, root: &Path) -> Result<()> {
    packages::make_whole(root, |partial| packages::unpack(debs, partial))?;
    fs::remove_dir_all(debs).with_context(|| format!("cannot remove {}", debs.display()))
}
