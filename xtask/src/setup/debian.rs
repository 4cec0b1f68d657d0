//! The packages of Debian and its relatives.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use lab::command;

use super::linker;
use crate::bpf_toolchain::{self, Compiler};

/// Where [`LLVM_PACKAGE`] lies.
pub const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
/// What bpf-linker calls that LLVM.
pub const LLVM_FEATURE: &str = "llvm-22";
/// The LLVM that bpf-linker is built with.
const LLVM_PACKAGE: &str = "llvm-22-dev";

/// The package whose version is the compiler's.
const COMPILER_PACKAGE: &str = "rustc-web";
/// A compiler with a prebuilt `core` for BPF, and its LLVM for bpf-linker.
const TOOLCHAIN: [&str; 4] = [
    COMPILER_PACKAGE,
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    LLVM_PACKAGE,
];
/// What the tests and the demo run.
const TOOLS: [&str; 7] = [
    "iproute2",
    "nftables",
    "iptables",
    "ethtool",
    "wireguard-tools",
    "tshark",
    "zstd",
];

/// Whether this machine has packages of this kind.
pub fn is_here() -> bool {
    bpf_toolchain::program("apt-get").is_some() && bpf_toolchain::program("dpkg-query").is_some()
}

/// Installs what is missing; without root, fails with the command that would.
pub fn set_up() -> Result<()> {
    let tools = missing(&TOOLS)?;
    let mut toolchain = missing(&TOOLCHAIN)?;
    if !toolchain.is_empty() && other_route_is_ready() && (!command::is_root() || !offered()?) {
        toolchain.clear();
    }
    let mut packages = [tools.as_slice(), &toolchain].concat();
    if packages.is_empty() {
        println!("setup: packages ok");
        return Ok(());
    }
    if !command::is_root() {
        bail!(
            "packages are missing: run `apt-get update && apt-get install --no-install-recommends {}` as root",
            packages.join(" ")
        );
    }
    update();
    if !toolchain.is_empty() && !offered()? {
        println!(
            "setup: the package archive has no {COMPILER_PACKAGE} {} with {LLVM_PACKAGE}; looking for rustup's nightly",
            env!("CARGO_PKG_RUST_VERSION")
        );
        packages = tools;
    }
    install(&packages)
}

/// Installs one package, which only some task needs; without root, fails with the command that would.
pub fn provide(package: &str) -> Result<()> {
    if !command::is_root() {
        bail!(
            "{package} is missing: run `apt-get install --no-install-recommends {package}` as root"
        );
    }
    update();
    install(&[package])
}

fn update() {
    println!("setup: updating the package lists");
    // The lists that are there may do, for instance without a network but with a local archive.
    if let Err(error) = command::status(apt_get().arg("update")) {
        eprintln!("setup: {error:#}; trying with the old lists");
    }
}

/// Installs `packages`; does nothing for none.
fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    println!("setup: installing {list}");
    // --no-remove: the compiler's package conflicts with other packages of Rust, which may be what
    // the user works with.
    let mut command = apt_get();
    command
        .args(["install", "-y", "--no-install-recommends", "--no-remove"])
        .args(packages);
    command::status(&mut command)
        .with_context(|| format!("cannot install {list} (apt-get says why above)"))?;
    println!("setup: packages ok");
    Ok(())
}

/// `apt-get` that asks nothing, waits for another one to end, and prints only what goes wrong.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Those of `packages` that are not installed, or too old to build this workspace.
fn missing(packages: &[&'static str]) -> Result<Vec<&'static str>> {
    // Its status says only that it does not know some of them.
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${Version} ${Status}\n"])
        .args(packages)
        .output()
        .context("cannot start dpkg-query")?;
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut missing = packages.to_vec();
    missing.retain(|package| !is_installed(&listing, package));
    Ok(missing)
}

/// Whether `listing`, of lines of package, version and status, has `package` installed.
fn is_installed(listing: &str, package: &str) -> bool {
    listing.lines().any(|line| {
        line.strip_suffix(" install ok installed")
            .or_else(|| line.strip_suffix(" hold ok installed"))
            .and_then(|line| line.split_once(' '))
            .is_some_and(|(name, version)| {
                name == package && (name != COMPILER_PACKAGE || is_new_enough(version))
            })
    })
}

/// Whether the archive has the whole toolchain, as far as the lists on this machine tell.
fn offered() -> Result<bool> {
    let mut command = Command::new("apt-cache");
    command.env("LC_ALL", "C").arg("policy").args(TOOLCHAIN);
    Ok(offers(&command::output(&mut command)?))
}

/// Whether `policy`, as `apt-cache policy` prints it, has a candidate for each toolchain package.
fn offers(policy: &str) -> bool {
    TOOLCHAIN.iter().all(|package| {
        policy
            .lines()
            .skip_while(|line| line.strip_suffix(':') != Some(package))
            .find_map(|line| line.strip_prefix("  Candidate: "))
            .is_some_and(|candidate| {
                candidate != "(none)" && (*package != COMPILER_PACKAGE || is_new_enough(candidate))
            })
    })
}

/// Whether the compiler of this package version can build this workspace.
fn is_new_enough(version: &str) -> bool {
    let minor = |version: &str| -> Option<(u32, u32)> {
        let mut parts = version.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    minor(version) >= minor(env!("CARGO_PKG_RUST_VERSION"))
}

/// Whether the kernel programs could be built without any of these packages.
fn other_route_is_ready() -> bool {
    Compiler::find() == Some(Compiler::Nightly) && linker::is_ready()
}

#[cfg(test)]
mod tests {
    use super::{is_installed, is_new_enough, offers};

    #[test]
    fn an_old_compiler_is_not_new_enough() {
        assert!(is_new_enough("1.96.0+dfsg1-1~deb12u2"));
        assert!(!is_new_enough("1.85.0+dfsg3-1~deb12u3"));
        assert!(!is_new_enough("(none)"));
    }

    #[test]
    fn removed_and_old_packages_are_missing() {
        let listing = "ethtool 1:6.1-1 deinstall ok config-files\n\
                       nftables 1.0.6-2+deb12u2 install ok installed\n\
                       kmod  unknown ok not-installed\n\
                       rustc-web 1.85.0+dfsg3-1 install ok installed\n";
        assert!(is_installed(listing, "nftables"));
        for missing in ["ethtool", "kmod", "rustc-web", "iproute2"] {
            assert!(!is_installed(listing, missing), "{missing}");
        }
    }

    #[test]
    fn an_archive_offers_the_toolchain_whole_or_not_at_all() {
        let policy = |rustc: &str, llvm: &str| {
            format!(
                "rustc-web:\n  Installed: (none)\n  Candidate: {rustc}\n  Version table:\n\
                 cargo-web:\n  Installed: (none)\n  Candidate: 1.96.0\n\
                 libstd-rust-web-dev-bpf:\n  Installed: (none)\n  Candidate: 1.96.0\n\
                 {llvm}"
            )
        };
        let llvm = "llvm-22-dev:\n  Installed: (none)\n  Candidate: 1:22.1.8-1\n";
        assert!(offers(&policy("1.96.0+dfsg1-1", llvm)));
        assert!(!offers(&policy("1.85.0+dfsg1-1", llvm)));
        assert!(!offers(&policy("(none)", llvm)));
        assert!(!offers(&policy("1.96.0+dfsg1-1", "")));
    }
}
