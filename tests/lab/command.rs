//! Runs the system's network tools and turns their failures into errors that can be read.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

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
