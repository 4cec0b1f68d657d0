//! The project's chores, run as `cargo xtask <TASK>` from anywhere in the repository.

mod bench;
mod bpf_toolchain;
mod demo;
mod dind;
mod fuzz;
mod namespaces;
mod packages;
mod run;
mod setup;
mod test;
mod vm;

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
        /// On other kernels, in virtual machines, play all scenarios and not a few.
        #[arg(long, conflicts_with = "fast")]
        full: bool,
        /// What `cargo test` gets besides.
        #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Builds the Docker-in-Docker fault in network namespaces, traces it, and prints the report.
    /// Needs root.
    Demo {
        /// Show the screens over it instead, in this terminal, until `q`.
        #[arg(long)]
        live: bool,
    },
    /// Has a real Docker engine in a container of another do builds that hang, traces them, applies what
    /// the report says, and fails where the report is wrong or something stays behind. Fetches
    /// Debian's packages of Docker, into target/dind; nothing is installed. Needs root.
    Dind {
        /// How many builds of a second or two must have their containers named right.
        #[arg(long, value_name = "N", default_value_t = dind::BUILDS)]
        builds: u32,
        /// Only the story: the build that hangs, and the fix.
        #[arg(long)]
        story: bool,
    },
    /// Draws the screens over the demo's fault as pictures for the README. Needs root.
    Pictures,
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
    /// Plays the scenarios on the kernel that runs here and, in virtual machines, on Debian's, and prints
    /// what became of each on each. What it needs it downloads once, into target/vm. Only the kernel
    /// that runs here needs root.
    Vm {
        /// Which kernels: host (that runs here), 5.10, 6.1, 6.12 or 7.x; all without any.
        #[arg(value_name = "KERNEL")]
        kernels: Vec<String>,
        /// How the kernel programs hang on their hooks; without it all scenarios in the best way and a
        /// few in each other.
        #[arg(long, value_enum, value_name = "HOW")]
        mechanism: Vec<vm::How>,
        /// Only scenarios whose name begins so.
        #[arg(last = true, value_name = "SCENARIO")]
        scenarios: Vec<String>,
    },
    /// Removes the network namespaces that crashed tests and demos left behind. Needs root.
    CleanNamespaces,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Setup => setup::run(),
        Task::Test {
            fast,
            full,
            arguments,
        } => test::run(fast, full, &arguments),
        Task::Demo { live } => demo::run(live),
        Task::Dind { builds, story } => dind::run(builds, story),
        Task::Pictures => demo::pictures(),
        Task::Bench { subject, parts } => bench::run(subject, &parts),
        Task::Fuzz {
            target,
            seconds,
            arguments,
        } => fuzz::run(target, seconds, &arguments),
        Task::Vm {
            kernels,
            mechanism,
            scenarios,
        } => vm::run(&kernels, &mechanism, &scenarios),
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
