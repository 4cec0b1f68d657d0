//! Debian's kernels for virtual machines, fetched once and kept.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

use anyhow::{Context, Result, bail, ensure};
use lab::command;
use lab::packages::{self, Archive, Mirror};

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
    suite: &'static str,
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
        let mut suites = vec![(mirror.main.as_str(), self.suite.to_owned())];
        if self.suite != "sid"
            && let Some(security) = &mirror.security
        {
            suites.push((security, format!("{}-security", self.suite)));
        }
        let archive = Archive::of_suites(directory, &suites)?;
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

/// Where the scenarios run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the kernel that runs here.
    Host,
    /// In a virtual machine.
    Machine(&'static Wanted),
}

impl Place {
    /// The user's name for the kernel.
    pub const HOST: &'static str = "host";

    /// The places called `names`, all if empty.
    pub fn chosen(names: &[String]) -> Vec<Self> {
        let all = iter::once(Self::Host).chain(KERNELS.iter().map(Self::Machine));
        if names.is_empty() {
            return all.collect();
        }
        let called = |name: &String| all.clone().find(|place| place.name() == name);
        names.iter().filter_map(called).collect()
    }

    /// The user's name for its kernel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => Self::HOST,
            Self::Machine(wanted) => wanted.name,
        }
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

    use super::{KERNELS, Place, find};

    #[test]
    fn all_are_meant_unless_some_are_named() {
        let all: Vec<&str> = Place::chosen(&[]).iter().map(|it| it.name()).collect();
        assert_eq!(all, lab::suites::KERNELS);
        let two = Place::chosen(&["6.12".to_owned(), "host".to_owned()]);
        assert_eq!(two, [Place::Machine(&KERNELS[2]), Place::Host]);
    }

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
