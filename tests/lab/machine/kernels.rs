//! Debian's kernels for virtual machines, fetched once and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::packages::{self, Archive, Mirror};
use anyhow::{Context, Result, bail, ensure};

/// The package that depends on a release's newest kernel.
const NEWEST: &str = "linux-image-cloud-amd64";
/// What a kernel's packages are called: newer ones come in several.
const PARTS: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// A kernel that is tested.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The user's name for it.
    pub name: &'static str,
    /// How its version begins.
    version: &'static str,
    /// The release of Debian that has it.
    pub suite: &'static str,
}

/// All of them, oldest first.
pub const KERNELS: [Wanted; 4] = [
    Wanted {
        name: "5.10",
        version: "5.10.",
        suite: "bullseye",
    },
    Wanted {
        name: "6.1",
        version: "6.1.",
        suite: "bookworm",
    },
    Wanted {
        name: "6.12",
        version: "6.12.",
        suite: "trixie",
    },
    Wanted {
        name: "7.x",
        version: "7.",
        suite: "sid",
    },
];

/// A kernel that is here.
#[derive(Debug)]
pub struct Kernel {
    /// As `uname -r` prints it.
    pub release: String,
    /// The image that boots.
    pub image: PathBuf,
    /// Its modules, with `modules.dep`.
    pub modules: PathBuf,
}

impl Kernel {
    /// Its `modules.dep`: each module's file, and the files it needs.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn dependencies(&self) -> Result<String> {
        let list = self.modules.join("modules.dep");
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))
    }
}

impl Wanted {
    /// The kernel in `cache`, fetched through `mirror` if it is not there yet.
    pub fn get(
        &self,
        cache: &Path,
        busybox: &Path,
        mirror: impl FnOnce() -> Result<Mirror>,
    ) -> Result<Kernel> {
        let directory = cache.join(self.name);
        let root = directory.join("root");
        if !root.is_dir() {
            let fetch = |partial: &Path| self.fetch(&directory, partial, busybox, &mirror()?);
            packages::make_whole(&root, fetch).with_context(|| {
                format!("kernel {} of {} cannot be had here", self.name, self.suite)
            })?;
        }
        find(&root)
    }

    fn fetch(&self, directory: &Path, root: &Path, busybox: &Path, mirror: &Mirror) -> Result<()> {
        println!("vm: fetching kernel {} of {}", self.name, self.suite);
        let archive = Archive::of_suites(directory, &mirror.suites(self.suite))?;
        // An old release may be gone from one of the two: what is left will do.
        let updated = archive.update();
        let packages = match parts(&archive) {
            Ok(packages) => packages,
            Err(error) => return Err(updated.err().unwrap_or(error)),
        };
        let version = |package: &String| {
            PARTS
                .iter()
                .find_map(|part| package.strip_prefix(part))
                .is_some_and(|version| version.starts_with(self.version))
        };
        ensure!(
            packages.iter().all(version),
            "{} has {} instead of {}",
            self.suite,
            packages.join(" "),
            self.name
        );
        let debs = directory.join("packages");
        let _ = fs::remove_dir_all(&debs);
        archive.download(&packages, &debs)?;
        packages::unpack(&debs, root)?;
        let kernel = find(root)?;
        // Its own installation would do this.
        let base = kernel
            .modules
            .ancestors()
            .nth(3)
            .context("modules lie in lib/modules/RELEASE")?;
        let mut depmod = Command::new(busybox);
        depmod.args(["depmod", "-b"]).arg(base).arg(&kernel.release);
        command::status(depmod.current_dir(&kernel.modules))?;
        for used in [debs, directory.join("lists"), directory.join("cache")] {
            fs::remove_dir_all(&used)
                .with_context(|| format!("cannot remove {}", used.display()))?;
        }
        Ok(())
    }
}

/// The packages of the newest kernel in `archive`.
fn parts(archive: &Archive) -> Result<Vec<String>> {
    let is_part = |package: &String| PARTS.iter().any(|part| package.starts_with(part));
    let mut parts = archive.depends(NEWEST)?;
    parts.retain(is_part);
    let Some(image) = parts.first().cloned() else {
        bail!("{NEWEST} depends on no kernel");
    };
    let mut more = archive.depends(&image)?;
    more.retain(is_part);
    parts.extend(more);
    Ok(parts)
}

/// The kernel whose packages were unpacked into `root`.
fn find(root: &Path) -> Result<Kernel> {
    let modules = ["lib/modules", "usr/lib/modules"]
        .iter()
        .filter_map(|path| fs::read_dir(root.join(path)).ok())
        .flat_map(Iterator::flatten)
        .map(|entry| entry.path())
        .next()
        .with_context(|| format!("no modules in {}", root.display()))?;
    let release = modules
        .file_name()
        .and_then(|name| name.to_str())
        .context("a release is text")?
        .to_owned();
    let image = [
        root.join(format!("boot/vmlinuz-{release}")),
        modules.join("vmlinuz"),
    ]
    .into_iter()
    .find(|path| path.is_file())
    .with_context(|| format!("no kernel {release} in {}", root.display()))?;
    Ok(Kernel {
        release,
        image,
        modules,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::find;

    #[test]
    fn both_ways_to_lay_out_a_kernel_are_known() {
        let root = std::env::temp_dir().join(format!("xtask-kernels-{}", std::process::id()));
        for (image, modules) in [
            ("boot/vmlinuz-5.10.0-46", "lib/modules/5.10.0-46"),
            ("usr/lib/modules/7.2.13/vmlinuz", "usr/lib/modules/7.2.13"),
        ] {
            fs::create_dir_all(root.join(modules)).unwrap();
            fs::create_dir_all(root.join("boot")).unwrap();
            fs::write(root.join(image), "").unwrap();
            let kernel = find(&root).unwrap();
            assert_eq!(kernel.image, root.join(image));
            assert_eq!(kernel.modules, root.join(modules));
            fs::remove_dir_all(&root).unwrap();
            assert!(find(&root).is_err());
        }
    }
}
