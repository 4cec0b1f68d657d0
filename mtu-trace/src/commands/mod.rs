//! What each command does.

mod doctor;
mod host;
mod output;
mod record;
mod workload;

use std::{io, process::ExitCode};

use crate::{
    cli::{Cli, Command, Tracing},
    kernel::{LoadOptions, VMLINUX},
};

/// Exit status of a failure.
const FAILED: u8 = 1;
/// Exit status of a wrong command line, as clap has it.
const USAGE: u8 = 2;

/// Runs a command and says how it ended.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Record(options) => record::run(&options, cli.color),
        Command::Doctor(options) => doctor::run(&options, cli.color),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        // Whoever closed the pipe has read what they wanted.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn load_options(tracing: &Tracing) -> LoadOptions {
    output::log_to_stderr(tracing.kernel_log);
    LoadOptions {
        btf: tracing.btf.clone(),
        without: tracing.without.clone(),
        mechanism: tracing.mechanism.map(Into::into),
        log_level: if tracing.kernel_log {
            log::Level::Trace as u8
        } else {
            0
        },
    }
}

/// What to do about a kernel that lets us do nothing, in words.
fn explain_refusal(error: anyhow::Error) -> anyhow::Error {
    let denied = error.chain().any(|cause| {
        let cause = cause.to_string();
        cause.contains("Operation not permitted") || cause.contains("Permission denied")
    });
    if denied && !error.to_string().contains(VMLINUX) {
        error.context(if rustix::process::geteuid().is_root() {
            "the kernel refuses BPF to this root: it lacks CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN or \
             CAP_SYS_ADMIN, or the kernel is locked down; `mtu-trace doctor` says which"
        } else {
            "tracing needs root: run it with sudo"
        })
    } else {
        error
    }
}
