//! Runs the system's network tools and turns their failures into errors that can be read.

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Where `sbin` is no part of a user's `PATH`.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Runs `program` with `args` and returns what it printed.
///
/// # Errors
///
/// The tool is missing, or ended with another status than 0; the error quotes its standard error.
pub fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String> {
    run_with_input(program, args, "")
}

/// Runs `program` with `args`, gives it `input` on its standard input, and returns what it printed.
///
/// # Errors
///
/// As [`run`]; the error also quotes the input, because a batch names only the line that failed.
pub fn run_with_input<S: AsRef<OsStr>>(program: &str, args: &[S], input: &str) -> Result<String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {program} (is its package installed?)"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that fails early closes its input; its own message is the better error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("waiting for {program}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}\n{}\n{input}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` to its end; its outputs go where this program's go.
///
/// # Errors
///
/// It cannot be started, or ends with another status than 0.
pub fn status(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    succeeded(command, status)
}

/// Fails unless `status`, with which `command` has ended, is 0.
///
/// # Errors
///
/// It is another one.
pub fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "`{}` failed: {status}", line(command));
    Ok(())
}

/// Runs `command` to its end and returns what it printed.
///
/// # Errors
///
/// It cannot be started, or ends with another status than 0; the error quotes the first line of its
/// standard error.
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

/// A command as a user would type it, without the directory of its program.
#[must_use]
pub fn line(command: &Command) -> String {
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

/// The file that runs as `program`; `None` where this machine has no such program.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM.map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// Whether this program runs as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Fails unless this program runs as root; `why` completes the sentence.
///
/// # Errors
///
/// It does not.
pub fn require_root(why: &str) -> Result<()> {
    ensure!(is_root(), "run this as root: {why}");
    Ok(())
}
