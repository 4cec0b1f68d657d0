//! The project's chores, run as `cargo xtask <TASK>` from anywhere in the repository.

mod bench;
mod bpf_toolchain;
mod demo;
mod fuzz;
mod namespaces;
mod run;
mod setup;
mod suites;
mod test;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lab::suites::{Dind, Extent, Kselftest, Vm, exit};

use self::test::Scope;

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
        /// On other kernels, in virtual machines, run all scenarios and not a few, and the kernel's own
        /// selftests.
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
    Dind(Dind),
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
    /// Runs the scenarios on the kernel that runs here and, in virtual machines, on Debian's, and prints
    /// what became of each on each. What it needs it downloads once, into target/vm. Only the kernel
    /// that runs here needs root.
    Vm(Vm),
    /// Runs the kernel's own network selftests, alone and traced: here what passes here, the rest in a
    /// virtual machine. Fails where the tracer disturbs one, or says what its purpose contradicts.
    /// Fetches Debian's package of the kernel's source, and the programs that they call, into
    /// target/kselftest; nothing is installed. Needs root.
    Kselftest(Kselftest),
    /// Removes the network namespaces that crashed tests and demos left behind. Needs root.
    CleanNamespaces,
}

fn main() -> ExitCode {
    let task = Cli::parse().task;
    // A suite reads its own arguments again, which follow the task's name.
    let own: Vec<OsString> = env::args_os().skip(2).collect();
    exit(match task {
        Task::Setup => setup::run(),
        Task::Test {
            fast,
            full,
            arguments,
        } => {
            let scope = match (fast, full) {
                (true, _) => Scope::Fast,
                (false, false) => Scope::Whole(Extent::Few),
                (false, true) => Scope::Whole(Extent::All),
            };
            test::run(scope, &arguments)
        }
        Task::Demo { live: true } => demo::live(),
        Task::Demo { live: false } => demo::report(),
        Task::Dind(_) => suites::dind(&own),
        Task::Pictures => demo::pictures(),
        Task::Bench { subject, parts } => bench::run(subject, &parts),
        Task::Fuzz {
            target,
            seconds,
            arguments,
        } => fuzz::run(target, seconds, &arguments),
        Task::Vm(_) => suites::vm(&own),
        Task::Kselftest(_) => suites::kselftest(&own),
        Task::CleanNamespaces => namespaces::clean(),
    })
}
