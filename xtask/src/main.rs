//! The project's chores, run as `cargo xtask <TASK>` from anywhere in the repository.

mod bench;
mod bpf_toolchain;
mod demo;
mod fuzz;
mod namespaces;
mod run;
mod setup;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// mtu-trace's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Finds or installs what building and testing need; the other tasks do this first.
    Setup,
    /// Checks format and lints, builds everything, and runs all tests. Needs root.
    Test {
        /// Leave out the scenarios in network namespaces; this needs no root.
        #[arg(long)]
        fast: bool,
        /// What `cargo test` gets besides.
        #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Builds the Docker-in-Docker fault in network namespaces, traces it, and prints the report.
    /// Needs root.
    Demo,
    /// Measures an optimized build and prints the figures. Needs root.
    Bench {
        /// What to measure.
        subject: bench::Subject,
        /// Which parts of it; all without any.
        #[arg(last = true, value_name = "PARTS")]
        parts: Vec<String>,
    },
    /// Fuzzes what reads captures and kernel records, and ends at the first input that breaks it.
    Fuzz {
        /// What to fuzz; one after the other without it.
        target: Option<fuzz::Target>,
        /// How long each.
        #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(i32).range(1..))]
        seconds: i32,
        /// What libFuzzer gets besides, such as -fork=2.
        #[arg(last = true, value_name = "LIBFUZZER ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Removes the network namespaces that crashed tests and demos left behind. Needs root.
    CleanNamespaces,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Setup => setup::run(),
        Task::Test { fast, arguments } => test::run(fast, &arguments),
        Task::Demo => demo::run(),
        Task::Bench { subject, parts } => bench::run(subject, &parts),
        Task::Fuzz {
            target,
            seconds,
            arguments,
        } => fuzz::run(target, seconds, &arguments),
        Task::CleanNamespaces => namespaces::clean(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
