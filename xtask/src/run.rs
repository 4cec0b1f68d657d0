//! Runs other programs: visibly, in the repository's root, with errors that name the command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The root of the repository.
pub fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The cargo that started this program, to be run in the repository's root.
pub fn cargo<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(repository()).args(arguments);
    command
}

/// Shows `command` and runs it to its end.
pub fn step(command: &mut Command) -> Result<()> {
    println!("== {}", line(command));
    status(command)
}

/// Runs `command` to its end; its outputs go where this program's go.
pub fn status(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    ensure!(status.success(), "`{}` failed: {status}", line(command));
    Ok(())
}

/// Runs `command` and returns what it prints.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let first = stderr.lines().next().unwrap_or_default();
        bail!("`{}` failed: {}: {first}", line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Fails unless this program runs as root; `why` completes the sentence.
pub fn require_root(why: &str) -> Result<()> {
    ensure!(is_root(), "run this as root: {why}");
    Ok(())
}

/// Whether this program runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As tests and the demo run it.
    Debug,
    /// As users get it.
    Release,
}

/// Builds `mtu-trace`, and says where it lies.
pub fn build_mtu_trace(profile: Profile) -> Result<PathBuf> {
    let mut build = cargo(&["build", "--locked", "--package", "mtu-trace"]);
    if profile == Profile::Release {
        build.arg("--release");
    }
    step(&mut build)?;
    mtu_trace_binary(profile)
}

/// Where a build of `mtu-trace` lies once it is built.
pub fn mtu_trace_binary(profile: Profile) -> Result<PathBuf> {
    let directory = match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    };
    Ok(target_directory()?.join(directory).join("mtu-trace"))
}

/// Where builds lie, and what else may be made again.
pub fn target_directory() -> Result<PathBuf> {
    let mut command = cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"]);
    let metadata: Value =
        serde_json::from_str(&output(&mut command)?).context("cargo's metadata is not JSON")?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo's metadata names no target directory")?;
    Ok(PathBuf::from(target))
}

/// A command as a user would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
