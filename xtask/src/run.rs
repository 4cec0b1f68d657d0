//! Runs cargo and what it builds: visibly, in the repository's root, with errors that name the command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use lab::command;
use lab::process::Running;
use serde_json::Value;

/// Every crate but the kernel programs, which mtu-trace's build script builds for their own target;
/// the fuzz targets without the library that needs a compiler for C++. Whatever is built is chosen
/// among all of these, also a single program: so their dependencies have the same features each time,
/// and are built once.
pub const USERSPACE: [&str; 5] = [
    "--locked",
    "--workspace",
    "--exclude",
    "mtu-trace-ebpf",
    "--no-default-features",
];

/// The niceness of what runs beside what matters more: a choice, at which it gets a tenth of a
/// processor that both want, so that an emulated kernel still comes to its timers.
const NICE: &str = "10";

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
    println!("== {}", command::line(command));
    command::status(command)
}

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As tests and the demo run it.
    Debug,
    /// As users get it.
    Release,
}

/// Builds the program `name`, and says where it lies.
pub fn build(profile: Profile, name: &str) -> Result<PathBuf> {
    step(&mut building(profile, name))?;
    binary(profile, name)
}

/// The command that builds the program `name`.
fn building(profile: Profile, name: &str) -> Command {
    let mut build = cargo(&[&["build"], &USERSPACE[..], &["--bin", name]].concat());
    if profile == Profile::Release {
        build.arg("--release");
    }
    build
}

/// Builds the program `name` beside what matters more, with what that leaves of the processors.
pub fn build_beside(profile: Profile, name: &str) -> Result<Running> {
    let mut build = beside(&building(profile, name));
    println!("== beside it: {}", command::line(&build));
    Running::start(&mut build)
}

/// A command that does the same as `command` with what others leave of the processors.
pub fn beside(command: &Command) -> Command {
    let mut beside = Command::new("nice");
    beside.args(["-n", NICE]).arg(command.get_program());
    beside.args(command.get_args()).current_dir(repository());
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    beside.envs(set);
    beside
}

/// Where the program `name` lies once it is built.
pub fn binary(profile: Profile, name: &str) -> Result<PathBuf> {
    let directory = match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    };
    Ok(target_directory()?.join(directory).join(name))
}

/// Builds the matrix of scenarios, a test that is a program of its own, and says where it lies.
pub fn build_matrix() -> Result<PathBuf> {
    let mut build = cargo(&[&["test"], &USERSPACE[..], &["--test", "matrix"]].concat());
    build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    println!("== {}", command::line(&build));
    build.stderr(Stdio::inherit());
    command::output(&mut build)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "matrix")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no executable of the matrix")
}

/// Where builds lie, and what else may be made again.
pub fn target_directory() -> Result<PathBuf> {
    let mut command = cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&command::output(&mut command)?)
        .context("cargo's metadata is not JSON")?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo's metadata names no target directory")?;
    Ok(PathBuf::from(target))
}
