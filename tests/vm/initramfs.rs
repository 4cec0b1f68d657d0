//! The virtual machine's only file system: an archive that the kernel unpacks into memory.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::machine::files::Files;
use lab::machine::kernels::Kernel;

use super::modules::{Dependencies, MODULES};

/// The machine's programs that the scenarios run, the fixes among them.
const TOOLS: [&str; 8] = [
    "ip", "tc", "bridge", "nft", "iptables", "ethtool", "wg", "bash",
];
const INIT: &str = include_str!("init");

/// The programs under test.
pub struct Programs<'a> {
    /// The release build that users get.
    pub mtu_trace: &'a Path,
    /// The matrix of the scenarios.
    pub matrix: &'a Path,
    /// All other programs in one, linked statically.
    pub busybox: &'a Path,
}

/// Makes the archive at `path` for `kernel`; `selections` are lines for the init script.
pub fn write(path: &Path, kernel: &Kernel, programs: &Programs, selections: &str) -> Result<()> {
    let mut files = Files::default();
    files.add_init(INIT);
    files.add("selections", selections.as_bytes().to_vec());
    files.copy(programs.busybox, "bin/busybox")?;
    let modules = kernel.dependencies()?;
    let modules = Dependencies::parse(&modules).files(MODULES);
    files.add_modules(kernel, programs.busybox, &modules)?;
    // Each is a line, the last one too: the shell reads no other.
    let lines: String = MODULES.iter().map(|module| format!("{module}\n")).collect();
    files.add("modules", lines.into_bytes());

    let tested = [
        (programs.mtu_trace, "mtu-trace"),
        (programs.matrix, "matrix"),
    ];
    let loaded = files.add_programs(&tested, &TOOLS)?;
    let extensions = iptables_extensions(&loaded)?;
    for extension in &extensions {
        let name = extension.file_name().context("a file has a name")?;
        files.copy(extension, Path::new("usr/lib/xtables").join(name))?;
    }
    files.add_libraries(&extensions)?;
    files.write_to(path)
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
