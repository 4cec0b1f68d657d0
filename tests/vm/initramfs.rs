//! The virtual machine's only file system: an archive that the kernel unpacks into memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cpio::newc::{Builder, ModeFileType};
use lab::command;

use super::kernels::Kernel;
use super::modules::{Dependencies, MODULES};

/// The machine's programs that the scenarios run, the fixes among them.
const TOOLS: [&str; 8] = [
    "ip", "tc", "bridge", "nft", "iptables", "ethtool", "wg", "bash",
];
/// Where `sbin` is no part of a user's `PATH`.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/sbin"];
/// How the names of compressed modules end.
const COMPRESSED: &str = ".xz";
const INIT: &[u8] = include_bytes!("init");

/// The programs under test.
pub struct Programs<'a> {
    /// The release build that users get.
    pub mtu_trace: &'a Path,
    /// The matrix of the scenarios.
    pub matrix: &'a Path,
    /// All other programs in one, linked statically.
    pub busybox: &'a Path,
}

/// Files by their path without the leading `/`.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    fn add(&mut self, path: impl AsRef<Path>, content: Vec<u8>) {
        let path = path.as_ref();
        let path = path.strip_prefix("/").unwrap_or(path);
        self.0.insert(path.to_owned(), content);
    }

    fn copy(&mut self, from: &Path, to: impl AsRef<Path>) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.add(to, content);
        Ok(())
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

/// Makes the archive at `path` for `kernel`; `selections` are lines for the init script.
pub fn write(path: &Path, kernel: &Kernel, programs: &Programs, selections: &str) -> Result<()> {
    let mut files = Files::default();
    files.add("init", INIT.to_vec());
    files.add("selections", selections.as_bytes().to_vec());
    files.copy(programs.busybox, "bin/busybox")?;
    add_modules(&mut files, kernel, programs.busybox)?;

    let mut tools = vec![
        (programs.mtu_trace.to_owned(), "mtu-trace"),
        (programs.matrix.to_owned(), "matrix"),
    ];
    for tool in TOOLS {
        tools.push((find(tool)?, tool));
    }
    for (from, name) in &tools {
        files.copy(from, Path::new("usr/bin").join(name))?;
    }
    let tools: Vec<PathBuf> = tools.into_iter().map(|(from, _)| from).collect();
    let mut loaded = libraries(&tools)?;
    let extensions = iptables_extensions(&loaded)?;
    for extension in &extensions {
        let name = extension.file_name().context("a file has a name")?;
        files.copy(extension, Path::new("usr/lib/xtables").join(name))?;
    }
    loaded.extend(libraries(&extensions)?);
    for library in loaded {
        files.copy(&library, &library)?;
    }

    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    files
        .write(BufWriter::new(file))
        .and_then(|mut writer| writer.flush())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn add_modules(files: &mut Files, kernel: &Kernel, busybox: &Path) -> Result<()> {
    let to = Path::new("lib/modules").join(&kernel.release);
    let list = kernel.modules.join("modules.dep");
    let text =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    for file in Dependencies::parse(&text).files(MODULES) {
        let from = kernel.modules.join(file);
        // Unpacked here, where it is quicker, and where no kernel complains that it cannot do it.
        match file.strip_suffix(COMPRESSED) {
            Some(plain) => files.add(to.join(plain), unpacked(busybox, &from)?),
            None => files.copy(&from, to.join(file))?,
        }
    }
    let text = text.replace(&format!(".ko{COMPRESSED}"), ".ko");
    files.add(to.join("modules.dep"), text.into_bytes());
    // With the aliases the kernel also loads by itself what it finds missing.
    for index in ["modules.alias", "modules.symbols"] {
        files.copy(&kernel.modules.join(index), to.join(index))?;
    }
    // Each is a line, the last one too: the shell reads no other.
    let lines: String = MODULES.iter().map(|module| format!("{module}\n")).collect();
    files.add("modules", lines.into_bytes());
    Ok(())
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

fn find(tool: &str) -> Result<PathBuf> {
    let path = command::find(tool)
        .or_else(|| {
            SYSTEM
                .iter()
                .map(|directory| Path::new(directory).join(tool))
                .find(|path| path.is_file())
        })
        .with_context(|| format!("the scenarios need {tool}: run `cargo xtask setup`"))?;
    // Through Debian's alternatives; the program goes by the name it is started with.
    fs::canonicalize(&path).with_context(|| format!("cannot find {}", path.display()))
}

/// The shared libraries of `programs`, and what loads them.
fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let listing = command::output(Command::new("ldd").args(programs))?;
    Ok(paths(&listing))
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

/// What iptables loads by itself: a library for each match and target, beside its own.
fn iptables_extensions(libraries: &BTreeSet<PathBuf>) -> Result<Vec<PathBuf>> {
    let own = libraries
        .iter()
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.as_bytes().starts_with(b"libxtables.so"))
        })
        .context("iptables does not use libxtables")?;
    let own = fs::canonicalize(own).with_context(|| format!("cannot find {}", own.display()))?;
    let directory = own.with_file_name("xtables");
    let entries =
        fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
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
