//! The files of the host and of the images: Debian's packages unpacked, so that nothing is installed
//! on this machine, its own Docker is left alone, and no image registry is needed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::command;
use lab::packages::{self, Archive, Unreachable};

/// An engine, what it starts, and a shell.
const PACKAGES: [&str; 4] = ["docker.io", "iptables", "busybox-static", "base-files"];
/// Where releases keep the engine's client in a package of its own.
const CLIENT: &str = "docker-cli";
/// What these need to be installed, but not to run.
const SUPERFLUOUS: [&str; 12] = [
    "perl",
    "libperl",
    "usrmerge",
    "debconf",
    "adduser",
    "libpam",
    "dpkg",
    "lsb-base",
    "sysvinit",
    "init-system",
    "tar_",
    "passwd",
];
/// Starts the engine in the outer container.
const ENGINE: &str = include_str!("engine.sh");
/// What makes a directory the root of a host.
const HOST: &str = include_str!("host.sh");
/// `iptables` in all its forms is one program that goes by its name; Debian's alternatives are made
/// when it is installed.
const IPTABLES: [&str; 6] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

/// Directories on which `host.sh` mounts.
const MOUNT_POINTS: [&str; 9] = [
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "mnt",
    "etc/docker",
    "srv/base",
    "var/lib/docker",
];

/// What is needed to run an engine.
pub struct Images {
    /// The root directory of the host, and of the image of the outer container.
    pub host: PathBuf,
    /// That of the image to build from.
    pub base: PathBuf,
}

impl Images {
    /// Those in `cache`, made first if they are not there.
    pub fn ready(cache: &Path) -> Result<Self> {
        let images = Self {
            host: cache.join("host"),
            base: cache.join("base"),
        };
        if !images.host.is_dir() || !images.base.is_dir() {
            images.make(cache)?;
        }
        // These are the project's own and may have changed.
        for directory in MOUNT_POINTS {
            let directory = images.host.join(directory);
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        write(&images.host.join("usr/sbin/engine"), ENGINE)?;
        write(&images.host.join("usr/sbin/host"), HOST)?;
        for (context, dockerfile) in super::contexts() {
            let directory = images.host.join(context.trim_start_matches('/'));
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            write_plain(&directory.join("Dockerfile"), &dockerfile)?;
        }
        Ok(images)
    }

    fn make(&self, cache: &Path) -> Result<()> {
        packages::require_apt()?;
        println!("dind: fetching {}", PACKAGES.join(", "));
        let archive = Archive::of_machine(&cache.join("apt"))?;
        archive.update()?;
        let mut wanted = PACKAGES.to_vec();
        if archive.has(CLIENT)? {
            wanted.push(CLIENT);
        }
        let debs = archive.download_all(&wanted).map_err(|error| {
            if error.is::<Unreachable>() {
                error.context("the engine's packages")
            } else {
                error
            }
        })?;
        packages::make_whole(&self.host, |host| {
            unpack(&debs, host)?;
            furnish(host)
        })?;
        packages::make_whole(&self.base, |base| shell(&self.host, base))?;
        fs::remove_dir_all(&debs).with_context(|| format!("cannot remove {}", debs.display()))
    }
}

/// Unpacks the packages in `debs` that are more than a step of an installation.
fn unpack(debs: &Path, root: &Path) -> Result<()> {
    // As Debian has it since 12, whatever the packages themselves say.
    for directory in ["bin", "sbin", "lib", "lib64"] {
        let usr = Path::new("usr").join(directory);
        fs::create_dir_all(root.join(&usr))?;
        symlink(&usr, root.join(directory))?;
    }
    for path in packages::files(debs)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if SUPERFLUOUS.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let mut contents = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start dpkg-deb")?;
        let pipe = contents.stdout.take().context("dpkg-deb has an output")?;
        command::status(
            Command::new("tar")
                .args([
                    "-x",
                    "--keep-directory-symlink",
                    "--exclude=./usr/share",
                    "-C",
                ])
                .arg(root)
                .stdin(pipe),
        )?;
        let status = contents.wait().context("waiting for dpkg-deb")?;
        ensure!(status.success(), "dpkg-deb failed on {}", path.display());
    }
    Ok(())
}

/// What an installation would have added.
fn furnish(root: &Path) -> Result<()> {
    for name in IPTABLES {
        let link = root.join("usr/sbin").join(name);
        let _ = fs::remove_file(&link);
        symlink("xtables-nft-multi", link)?;
    }
    for directory in ["root", "var"] {
        fs::create_dir_all(root.join(directory))?;
    }
    let var_run = root.join("var/run");
    if !var_run.is_symlink() {
        let _ = fs::remove_dir_all(&var_run);
        symlink("/run", var_run)?;
    }
    write_plain(&root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    write_plain(&root.join("etc/group"), "root:x:0:\ndocker:x:99:\n")?;
    applets(&packages::busybox(root)?, root)
}

/// An image with nothing but a shell and its friends.
fn shell(host: &Path, root: &Path) -> Result<()> {
    for directory in ["bin", "etc", "root", "tmp"] {
        fs::create_dir_all(root.join(directory))?;
    }
    let busybox = packages::busybox(host)?;
    fs::copy(&busybox, root.join("bin/busybox")).context("cannot copy busybox")?;
    write_plain(&root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    applets(&busybox, root)
}

/// Links for what busybox can do and nobody else does in `root`.
fn applets(busybox: &Path, root: &Path) -> Result<()> {
    for applet in command::output(Command::new(busybox).arg("--list"))?.lines() {
        let link = root.join("bin").join(applet);
        let is_there =
            |directory: &str| root.join(directory).join(applet).symlink_metadata().is_ok();
        if !is_there("bin") && !is_there("usr/sbin") {
            symlink("/bin/busybox", link)?;
        }
    }
    Ok(())
}

fn write(path: &Path, script: &str) -> Result<()> {
    write_plain(path, script)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", path.display()))
}

fn write_plain(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
