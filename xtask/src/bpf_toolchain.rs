//! Finds the compiler and the linker that build the kernel programs.
//!
//! `mtu-trace/build.rs` includes this file too, so that what `cargo xtask setup` calls ready is what
//! the build then uses. It only looks: nothing here installs, links or changes anything.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The name under which setup gives rustup the distribution's compiler.
pub const LINKED: &str = "mtu-trace-bpf";
/// Where the distribution's packages put compiler and cargo.
pub const SYSTEM_BIN: &str = "/usr/bin";
/// The target of the kernel programs.
pub const TARGET: &str = if cfg!(target_endian = "big") {
    "bpfeb-unknown-none"
} else {
    "bpfel-unknown-none"
};

/// A compiler that can build for [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// The distribution's, which has a prebuilt `core`, under the name [`LINKED`] in rustup.
    Linked,
    /// The same on a machine without rustup.
    System,
    /// rustup's nightly with the sources of `core`.
    Nightly,
}

impl Compiler {
    /// The compiler the kernel programs are built with; `None` when there is none.
    pub fn find() -> Option<Self> {
        let Some(rustup) = rustup() else {
            return system_has_core().then_some(Self::System);
        };
        if has_core(&mut rustc_of(&rustup, LINKED)) {
            Some(Self::Linked)
        } else if has_core_sources(&mut rustc_of(&rustup, "nightly")) {
            Some(Self::Nightly)
        } else {
            None
        }
    }
}

/// Whether the distribution's compiler is installed and has a prebuilt `core` for [`TARGET`].
pub fn system_has_core() -> bool {
    has_core(&mut Command::new(Path::new(SYSTEM_BIN).join("rustc")))
}

/// rustup's program; `None` where Rust did not come from rustup.
pub fn rustup() -> Option<PathBuf> {
    program("rustup")
}

/// The linker of the kernel programs.
pub fn bpf_linker() -> Option<PathBuf> {
    program("bpf-linker")
}

/// Finds a program in the directory of `cargo install`, which need not be in `PATH`, else in `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")));
    let path = env::var_os("PATH").unwrap_or_default();
    cargo_home
        .map(|home| home.join("bin"))
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

fn rustc_of(rustup: &Path, toolchain: &str) -> Command {
    let mut command = Command::new(rustup);
    // Looking for a toolchain must not download one.
    command
        .env("RUSTUP_AUTO_INSTALL", "0")
        .args(["run", toolchain, "rustc"]);
    command
}

fn has_core(rustc: &mut Command) -> bool {
    // rustc names the directory whether or not anything is installed there.
    ask(rustc.args(["--print", "target-libdir", "--target", TARGET]))
        .and_then(|libdir| std::fs::read_dir(libdir).ok())
        .is_some_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
        })
}

fn has_core_sources(rustc: &mut Command) -> bool {
    ask(rustc.args(["--print", "sysroot"])).is_some_and(|sysroot| {
        Path::new(&sysroot)
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .is_file()
    })
}

/// The one line `command` prints; `None` when it cannot be run or fails.
fn ask(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| line.trim().to_owned())
}
