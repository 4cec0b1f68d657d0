//! Debian packages fetched and unpacked into a directory of our own: nothing is installed, and the
//! machine's own package lists stay as they are.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fmt, fs};

use anyhow::{Context, Result};

use crate::command;

/// The keys of Debian's archives, from the package debian-archive-keyring.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A package archive as `apt-get` sees it through lists of our own.
pub struct Archive {
    directory: PathBuf,
    settings: PathBuf,
}

/// Why packages cannot be had on this machine, which is no fault of what they are for.
#[derive(Debug)]
pub enum Unreachable {
    /// The archive does not answer.
    Archive,
    /// This program, with which packages are fetched and unpacked, is missing.
    Program(&'static str),
}

impl Error for Unreachable {}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive => f.write_str("it cannot be fetched: is there a network?"),
            Self::Program(program) => write!(
                f,
                "this needs Debian's package archive, and the machine has no {program}: run it on \
                 Debian"
            ),
        }
    }
}

/// Where the machine gets Debian's packages from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The archive of all releases.
    pub main: String,
    /// The archive of their security updates; `None` if the machine does not use it.
    pub security: Option<String>,
}

impl Mirror {
    /// What has the packages of a release called `suite`, each with the archive it is in.
    #[must_use]
    pub fn suites(&self, suite: &str) -> Vec<(&str, String)> {
        let mut suites = vec![(self.main.as_str(), suite.to_owned())];
        if suite != "sid"
            && let Some(security) = &self.security
        {
            suites.push((security, format!("{suite}-security")));
        }
        suites
    }
}

/// Fails with [`Unreachable`] where packages cannot even be asked for.
///
/// # Errors
///
/// A program is missing.
pub fn require_apt() -> Result<(), Unreachable> {
    let needed = ["apt-get", "apt-cache", "dpkg", "ldd"];
    let missing = needed.into_iter().find(|it| command::find(it).is_none());
    missing.map_or(Ok(()), |program| Err(Unreachable::Program(program)))
}

impl Archive {
    /// That of the machine's own sources.
    ///
    /// # Errors
    ///
    /// Its directory cannot be made.
    pub fn of_machine(directory: &Path) -> Result<Self> {
        Self::with(directory, None)
    }

    /// That of `suites`, each with the archive it is in.
    ///
    /// # Errors
    ///
    /// Its directory cannot be made.
    pub fn of_suites(directory: &Path, suites: &[(&str, String)]) -> Result<Self> {
        let sources = directory.join("sources.list");
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let key = if Path::new(KEYRING).is_file() {
            format!("[signed-by={KEYRING}] ")
        } else {
            String::new()
        };
        let lines: String = suites
            .iter()
            .map(|(archive, suite)| format!("deb {key}{archive} {suite} main\n"))
            .collect();
        fs::write(&sources, lines)
            .with_context(|| format!("cannot write {}", sources.display()))?;
        Self::with(directory, Some(&sources))
    }

    fn with(directory: &Path, sources: Option<&Path>) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let settings = directory.join("apt.conf");
        fs::write(&settings, configuration(directory, sources))
            .with_context(|| format!("cannot write {}", settings.display()))?;
        Ok(Self {
            directory: directory.to_owned(),
            settings,
        })
    }

    /// Fetches the lists. What can be had is then known, also if a part of them cannot.
    ///
    /// # Errors
    ///
    /// [`Unreachable`], as without a network.
    pub fn update(&self) -> Result<()> {
        let mut command = self.apt("apt-get");
        command.args(["-qq", "update"]).stdout(Stdio::null());
        command::status(&mut command).context(Unreachable::Archive)
    }

    /// Where this archive's packages of Debian's come from.
    ///
    /// # Errors
    ///
    /// No source of this machine is Debian's archive.
    pub fn mirror(&self) -> Result<Mirror> {
        let mut command = self.apt("apt-get");
        command.args([
            "indextargets",
            "--format",
            "$(LABEL) $(REPO_URI)",
            "Created-By: Packages",
        ]);
        mirror(&command::output(&mut command)?).context(
            "no source of this machine's apt is Debian's archive (or its list cannot be had: is \
             there a network?)",
        )
    }

    /// The packages that the newest `package` depends on.
    ///
    /// # Errors
    ///
    /// There is no such package.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let mut command = self.apt("apt-cache");
        command.args(["show", "--no-all-versions", package]);
        Ok(depends(&command::output(&mut command)?))
    }

    /// Fetches `packages` into `directory`.
    ///
    /// # Errors
    ///
    /// [`Unreachable`], as without a network.
    pub fn download(&self, packages: &[String], directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let mut command = self.apt("apt-get");
        command
            .args(["-qq", "download"])
            .args(packages)
            .current_dir(directory)
            .stdout(Stdio::null());
        command::status(&mut command).context(Unreachable::Archive)
    }

    /// Fetches `package` and what it depends on and the machine lacks; says where they are then. What an
    /// installation would remove does not matter, since nothing is installed.
    ///
    /// # Errors
    ///
    /// [`Unreachable`], as without a network.
    pub fn download_whole(&self, package: &str) -> Result<PathBuf> {
        self.download_for(&[], &[package])
    }

    /// Fetches `packages` and all that they depend on, whatever the machine has; says where they are
    /// then.
    ///
    /// # Errors
    ///
    /// [`Unreachable`], as without a network.
    pub fn download_all(&self, packages: &[&str]) -> Result<PathBuf> {
        // A machine on which nothing is installed.
        let status = self.directory.join("status");
        fs::write(&status, "").with_context(|| format!("cannot write {}", status.display()))?;
        let empty = format!("Dir::State::status={}", status.display());
        self.download_for(&["-o", &empty], packages)
    }

    /// Fetches what an installation of `packages` with `options` would, and says where it is then.
    fn download_for(&self, options: &[&str], packages: &[&str]) -> Result<PathBuf> {
        let mut command = self.apt("apt-get");
        command
            .args(options)
            .args(["-qq", "-y", "--no-install-recommends", "--download-only"])
            .arg("install")
            .args(packages)
            .stdout(Stdio::null());
        command::status(&mut command).context(Unreachable::Archive)?;
        Ok(self.directory.join("cache/archives"))
    }

    /// Whether there is a package of this name.
    ///
    /// # Errors
    ///
    /// The archive cannot be asked.
    pub fn has(&self, package: &str) -> Result<bool> {
        let mut command = self.apt("apt-cache");
        command.args(["policy", package]);
        let policy = command::output(&mut command)?;
        Ok(policy
            .lines()
            .any(|line| line.starts_with("  Candidate: ") && !line.ends_with("(none)")))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", &self.settings)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }
}

/// Settings for `apt-get` that keep all it writes in `directory`.
fn configuration(directory: &Path, sources: Option<&Path>) -> String {
    let directory = directory.display();
    // As root: the user `_apt` need not be able to write here.
    let mut text = format!(
        "Dir::State::Lists \"{directory}/lists\";\n\
         Dir::Cache \"{directory}/cache\";\n\
         Debug::NoLocking \"true\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    );
    if let Some(sources) = sources {
        // An archive that does not answer would only be a warning. Of the machine's own, those that
        // matter may answer.
        text.push_str(&format!(
            "Dir::Etc::sourcelist \"{}\";\n\
             Dir::Etc::sourceparts \"-\";\n\
             APT::Update::Error-Mode \"any\";\n",
            sources.display()
        ));
    }
    text
}

/// Unpacks every package in `directory` into `root`.
///
/// # Errors
///
/// One is damaged, or `root` cannot be written.
pub fn unpack(directory: &Path, root: &Path) -> Result<()> {
    for package in files(directory)? {
        command::status(Command::new("dpkg").arg("-x").arg(&package).arg(root))?;
    }
    Ok(())
}

/// The packages in `directory`.
///
/// # Errors
///
/// It cannot be read.
pub fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let is_package = |path: &PathBuf| path.extension().is_some_and(|it| it == "deb");
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_package)
        .collect())
}

/// Makes the directory `whole` of what `fill` puts into it: under another name until that is done, so
/// that it is never there in part.
///
/// # Errors
///
/// Those of `fill`, or a directory cannot be made or renamed.
pub fn make_whole(whole: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let partial = whole.with_extension("partial");
    for old in [&partial, whole] {
        let _ = fs::remove_dir_all(old);
    }
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    fill(&partial)?;
    fs::rename(&partial, whole).with_context(|| format!("cannot rename {}", partial.display()))
}

/// The busybox in `root`, into which its package was unpacked.
///
/// # Errors
///
/// There is no busybox in `root`.
pub fn busybox(root: &Path) -> Result<PathBuf> {
    ["usr/bin/busybox", "bin/busybox"]
        .iter()
        .map(|path| root.join(path))
        .find(|path| path.is_file())
        .with_context(|| format!("no busybox in {}", root.display()))
}

/// Finds Debian's archives in `targets`, of lines of label and address.
fn mirror(targets: &str) -> Option<Mirror> {
    let address = |label: &str| {
        targets.lines().find_map(|line| {
            let (found, address) = line.trim().rsplit_once(' ')?;
            (found == label).then(|| address.to_owned())
        })
    };
    Some(Mirror {
        main: address("Debian")?,
        security: address("Debian-Security"),
    })
}

/// The names in the `Depends` line of a package's description; of alternatives the first.
fn depends(description: &str) -> Vec<String> {
    description
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "))
        .into_iter()
        .flat_map(|list| list.split(','))
        .filter_map(|item| item.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Mirror, depends, mirror};

    #[test]
    fn the_mirror_is_that_of_the_machine() {
        let targets = "cloud-sdk-bookworm https://packages.example/apt/\n\
                       Debian http://mirror.example/debian/\n\
                       Debian http://other.example/debian/\n\
                       Debian-Security http://mirror.example/debian-security/\n";
        assert_eq!(
            mirror(targets),
            Some(Mirror {
                main: "http://mirror.example/debian/".to_owned(),
                security: Some("http://mirror.example/debian-security/".to_owned()),
            })
        );
        assert_eq!(mirror("Ubuntu http://mirror.example/ubuntu/\n"), None);
    }

    #[test]
    fn dependencies_are_names() {
        let description = "Package: linux-image-cloud-amd64\n\
                           Depends: dracut | initramfs-tools (>= 0.120), linux-binary-7.2 (= 7.2.13-1)\n\
                           Description: Linux\n";
        assert_eq!(depends(description), ["dracut", "linux-binary-7.2"]);
        assert!(depends("Package: x\n").is_empty());
    }
}
