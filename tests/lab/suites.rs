//! The command lines of the suites that are programs of their own, and how those end.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// Has a real Docker engine in a container of another do builds that hang.
#[derive(Parser)]
pub struct Dind {
    /// How many builds of a second or two must have their containers named right.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub builds: u32,
    /// Only the main scenario: the build that hangs, and the fix.
    #[arg(long, alias = "story")]
    pub scenario: bool,
    /// As a part of `cargo xtask test`: what cannot be had here is skipped, and is no failure.
    #[arg(long, value_enum, hide = true)]
    pub within: Option<Extent>,
}

/// Runs the scenarios on other kernels, in virtual machines.
#[derive(Parser)]
pub struct Vm {
    /// Which kernels: host is that which runs here; all without any.
    #[arg(value_name = "KERNEL", value_parser = KERNELS)]
    pub kernels: Vec<String>,
    /// How the kernel programs hang on their hooks; without it all scenarios in the best way and a
    /// few in each other.
    #[arg(long, value_enum, value_name = "HOW")]
    pub mechanism: Vec<Mechanism>,
    /// Only scenarios whose name begins so.
    #[arg(last = true, value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// As a part of `cargo xtask test`: the kernel that runs here has its own tests there, and
    /// another that cannot be had is skipped, which is no failure.
    #[arg(long, value_enum, hide = true)]
    pub within: Option<Extent>,
}

/// Runs the kernel's own network selftests, each alone and traced.
#[derive(Parser)]
pub struct Kselftest {
    /// Which kernels: host is that which runs here, 6.12 runs in a virtual machine; without any, here and
    /// there what does not pass here.
    #[arg(value_name = "KERNEL", value_parser = [HOST, "6.12"])]
    pub kernels: Vec<String>,
    /// Only cases whose name contains this.
    #[arg(last = true, value_name = "CASE")]
    pub cases: Vec<String>,
    /// As a part of `cargo xtask test`: what cannot be had here is skipped, and is no failure.
    #[arg(long, value_enum, hide = true)]
    pub within: Option<Extent>,
    /// In a virtual machine, whose tree this is: writes a line of each case.
    #[arg(long, value_name = "TREE", hide = true)]
    pub inside: Option<PathBuf>,
}

/// How the tracer's programs hang on their hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mechanism {
    /// As users get it: each in the best way that the kernel has.
    Best,
    /// By fentry and fexit where that can be.
    Fentry,
    /// By kprobe and kretprobe where that can be.
    Kprobe,
}

/// How much `cargo xtask test` runs of what takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Extent {
    /// A few of each kind.
    Few,
    /// Everything, as with `--full`.
    All,
}

/// The kernel that runs here.
pub const HOST: &str = "host";
/// The names of the kernels, that which runs here first, then the oldest.
pub const KERNELS: [&str; 5] = [HOST, "5.10", "6.1", "6.12", "7.x"];

/// How a program ends with `outcome`, whose error goes to standard error.
#[must_use]
pub fn exit(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
