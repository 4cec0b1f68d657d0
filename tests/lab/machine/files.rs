//! The files of a virtual machine: an archive that its kernel unpacks into memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cpio::newc::{Builder, ModeFileType};

use super::kernels::Kernel;
use crate::command;

/// How the names of compressed modules end.
const COMPRESSED: &str = ".xz";
/// What every machine does first.
const PRELUDE: &str = include_str!("prelude");

/// Files by their path without the leading `/`.
#[derive(Default)]
pub struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    /// Adds a file, or replaces it.
    pub fn add(&mut self, path: impl AsRef<Path>, content: Vec<u8>) {
        let path = path.as_ref();
        let path = path.strip_prefix("/").unwrap_or(path);
        self.0.insert(path.to_owned(), content);
    }

    /// Adds a copy of one of this machine's files.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn copy(&mut self, from: &Path, to: impl AsRef<Path>) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.add(to, content);
        Ok(())
    }

    /// Adds the first process: what every machine does first, then `script`, which ends it.
    pub fn add_init(&mut self, script: &str) {
        self.add("init", [PRELUDE, script].concat().into_bytes());
    }

    /// Adds `programs`, each under a name in `/usr/bin`, and `tools` of this machine, with the shared
    /// libraries of all of them; says which those are.
    ///
    /// # Errors
    ///
    /// One is missing here.
    pub fn add_programs(
        &mut self,
        programs: &[(&Path, &str)],
        tools: &[&str],
    ) -> Result<BTreeSet<PathBuf>> {
        let mut all: Vec<(PathBuf, &str)> = programs
            .iter()
            .map(|(from, name)| (from.to_path_buf(), *name))
            .collect();
        for tool in tools {
            all.push((find(tool)?, tool));
        }
        for (from, name) in &all {
            self.copy(from, Path::new("usr/bin").join(name))?;
        }
        let from: Vec<PathBuf> = all.into_iter().map(|(from, _)| from).collect();
        self.add_libraries(&from)
    }

    /// Adds the shared libraries of `programs`, and what loads them; says which those are.
    ///
    /// # Errors
    ///
    /// One is missing here.
    pub fn add_libraries(&mut self, programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
        let listing = command::output(Command::new("ldd").args(programs))?;
        let libraries = paths(&listing);
        for library in &libraries {
            self.copy(library, library)?;
        }
        Ok(libraries)
    }

    /// Adds those modules of `kernel` whose files are `chosen`, unpacked by `busybox`.
    ///
    /// # Errors
    ///
    /// One cannot be read.
    pub fn add_modules(
        &mut self,
        kernel: &Kernel,
        busybox: &Path,
        chosen: &BTreeSet<&str>,
    ) -> Result<()> {
        let to = Path::new("lib/modules").join(&kernel.release);
        for file in chosen {
            let from = kernel.modules.join(file);
            // Unpacked here, where it is quicker, and where no kernel complains that it cannot do it.
            match file.strip_suffix(COMPRESSED) {
                Some(plain) => self.add(to.join(plain), unpacked(busybox, &from)?),
                None => self.copy(&from, to.join(file))?,
            }
        }
        let text = kernel.dependencies()?;
        let text = text.replace(&format!(".ko{COMPRESSED}"), ".ko");
        self.add(to.join("modules.dep"), text.into_bytes());
        // With the aliases the kernel also loads by itself what it finds missing.
        for index in ["modules.alias", "modules.symbols"] {
            self.copy(&kernel.modules.join(index), to.join(index))?;
        }
        Ok(())
    }

    /// Writes the archive into the file at `path`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write_to(&self, path: &Path) -> Result<()> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        self.write(BufWriter::new(file))
            .and_then(|mut writer| writer.flush())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes the archive, in the format that the kernel reads. All is for root and may be run.
    fn write<W: Write>(&self, to: W) -> io::Result<W> {
        let directories: BTreeSet<&Path> = self
            .0
            .keys()
            .flat_map(|path| path.ancestors().skip(1))
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        let entry = |path: &Path, kind: ModeFileType, content: &[u8]| {
            let entry = Builder::new(&path.to_string_lossy())
                .mode(0o755)
                .set_mode_file_type(kind);
            (entry, Cursor::new(content.to_vec()))
        };
        // A directory comes before what is in it.
        let directories = directories
            .into_iter()
            .map(|path| entry(path, ModeFileType::Directory, &[]));
        let files = self
            .0
            .iter()
            .map(|(path, content)| entry(path, ModeFileType::Regular, content));
        cpio::write_cpio(directories.chain(files), to)
    }
}

fn find(tool: &str) -> Result<PathBuf> {
    let path = command::find(tool)
        .with_context(|| format!("this needs {tool}: run `cargo xtask setup`"))?;
    // Through Debian's alternatives; the program goes by the name it is started with.
    fs::canonicalize(&path).with_context(|| format!("cannot find {}", path.display()))
}

/// The paths in `listing`, as `ldd` prints it: `NAME => PATH (ADDRESS)` or `PATH (ADDRESS)`.
fn paths(listing: &str) -> BTreeSet<PathBuf> {
    listing
        .lines()
        .filter(|line| line.starts_with(char::is_whitespace))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

fn unpacked(busybox: &Path, file: &Path) -> Result<Vec<u8>> {
    let output = Command::new(busybox)
        .arg("xzcat")
        .arg(file)
        .output()
        .with_context(|| format!("cannot start {}", busybox.display()))?;
    ensure!(
        output.status.success(),
        "cannot unpack {}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use cpio::newc::Reader;

    use super::{Files, paths};

    #[test]
    fn a_directory_comes_before_what_is_in_it() {
        let mut files = Files::default();
        files.add("/usr/bin/ip", b"program".to_vec());
        files.add("init", b"script".to_vec());
        let archive = files.write(Vec::new()).unwrap();
        let mut rest = archive.as_slice();
        let mut names = Vec::new();
        loop {
            let reader = Reader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                break;
            }
            names.push((
                entry.name().to_owned(),
                entry.mode(),
                entry.file_size() as usize,
            ));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("usr", 0o40_755, 0),
            ("usr/bin", 0o40_755, 0),
            ("init", 0o100_755, 6),
            ("usr/bin/ip", 0o100_755, 7),
        ];
        assert_eq!(
            names,
            expected.map(|(name, mode, size)| (name.to_owned(), mode, size))
        );
    }

    #[test]
    fn libraries_are_what_ldd_says() {
        let listing = "/usr/sbin/nft:\n\
                       \tlinux-vdso.so.1 (0x00007ffd)\n\
                       \tlibnftables.so.1 => /lib/x86_64-linux-gnu/libnftables.so.1 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\
                       /usr/lib/xtables/libxt_TCPMSS.so:\n\
                       \tstatically linked\n";
        assert_eq!(
            paths(listing).into_iter().collect::<Vec<_>>(),
            [
                PathBuf::from("/lib/x86_64-linux-gnu/libnftables.so.1"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2"),
            ]
        );
    }
}
