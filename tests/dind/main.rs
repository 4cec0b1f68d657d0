//! The fault with real engines. A `docker build` in a container hangs as it does in
//! CI; mtu-trace has to say why, name both containers as their engines do, and print a fix that helps.
//!
//! The host is a directory and namespaces of the lab's, so the machine's own Docker, interfaces and
//! packet filter are left alone, and with its first process all of it ends.

mod beforehand;
mod contained;
mod documented;
mod engine;
mod expect;
mod host;
mod images;
mod job;
mod late;
mod notify;
mod pod;
mod remains;
mod scenarios;
mod server;
mod trace;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use lab::packages::Unreachable;
use lab::suites::{self, Dind};
use lab::{binary, command, skips};

use self::host::Host;
use self::images::Images;
use self::scenarios::Stage;

/// A build that downloads packages.
const APP: &str = "/srv/app";
/// A build that fails by itself.
const BROKEN: &str = "/srv/broken";
/// The status with which it fails.
const BROKEN_STATUS: i32 = 7;

fn main() -> ExitCode {
    let arguments = Dind::parse();
    let outcome = run(&arguments);
    suites::exit(match outcome {
        Err(error) if arguments.within.is_some() && error.is::<Unreachable>() => {
            skips::skip("Docker in Docker", &format!("{error:#}"));
            Ok(())
        }
        outcome => outcome,
    })
}

/// Runs everything, or the main scenario alone, with so many short builds.
fn run(arguments: &Dind) -> Result<()> {
    command::require_root("it starts engines, makes network namespaces and loads kernel programs")?;
    let start = Instant::now();
    let binary = binary::mtu_trace();
    lab::sweep().context("cannot remove what an earlier run left behind")?;
    let cache = binary::target_directory()?.join("dind");
    let images = Images::ready(&cache)?;
    println!("== a host with an engine, and a package server outside");
    let host = Host::start(&images, &cache)?;
    let stage = Stage {
        host: &host,
        images: &images,
        binary: &binary,
    };
    let outcome = stage.fault_and_fixes().and_then(|()| {
        if arguments.scenario {
            return Ok(());
        }
        stage.pod()?;
        stage.variants()?;
        stage.many(arguments.builds)
    });
    // Also after a failure, whose error is the one to show.
    outcome.and(host.end())?;
    println!(
        "== all as expected in {} s, and nothing stays behind",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// What is built: directories and their Dockerfiles.
fn contexts() -> [(&'static str, String); 2] {
    let packages: Vec<&str> = server::PACKAGES.iter().map(|(name, _)| *name).collect();
    let app = format!(
        "FROM ci/base:1\n\
         RUN set -e; for package in {}; do \\\n      \
         echo \"fetching $package\"; \\\n      \
         wget -q -O /tmp/$package http://{}:{}/packages/$package; \\\n    \
         done\n",
        packages.join(" "),
        host::server_address(),
        server::PORT,
    );
    let broken = format!("FROM ci/base:1\nRUN exit {BROKEN_STATUS}\n");
    [(APP, app), (BROKEN, broken)]
}
