//! `cargo xtask dind`: the fault with real engines. A `docker build` in a container hangs as it does in
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
mod plays;
mod pod;
mod remains;
mod server;
mod trace;

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use self::host::Host;
use self::images::Images;
use self::plays::Stage;
use crate::packages::{self, Unreachable};
use crate::run::{self, Profile};
use crate::setup;

/// Short builds whose containers must be named right.
pub const BUILDS: u32 = 20;
/// A build that downloads packages.
const APP: &str = "/srv/app";
/// A build that fails by itself.
const BROKEN: &str = "/srv/broken";
/// The status with which it fails.
const BROKEN_STATUS: i32 = 7;

/// Plays everything, or the story alone, with so many short builds.
pub fn run(builds: u32, story: bool) -> Result<()> {
    run::require_root("it starts engines, makes network namespaces and loads kernel programs")?;
    let start = Instant::now();
    let binary = binary()?;
    lab::sweep().context("cannot remove what an earlier run left behind")?;
    let cache = run::target_directory()?.join("dind");
    let images = Images::ready(&cache)?;
    println!("== a host with an engine, and a package server outside");
    let host = Host::start(&images, &cache)?;
    let stage = Stage {
        host: &host,
        images: &images,
        binary: &binary,
    };
    let outcome = stage.story().and_then(|()| {
        if story {
            return Ok(());
        }
        stage.pod()?;
        stage.variants()?;
        stage.many(builds)
    });
    // Also after a failure, whose error is the one to show.
    outcome.and(host.end())?;
    println!(
        "== all as expected in {} s, and nothing stays behind",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// The part of `cargo xtask test`. Where Debian's packages cannot be had, as without a network, it says
/// so, and that is no failure.
pub fn test() -> Result<()> {
    if let Err(error) = packages::require_apt() {
        println!("== NOT TESTED: no Docker in Docker here: {error:#}");
        return Ok(());
    }
    match run(BUILDS, false) {
        Err(error) if error.is::<Unreachable>() => {
            println!("== NOT TESTED: no Docker in Docker here: {error:#}");
            Ok(())
        }
        outcome => outcome,
    }
}

/// The program under test: what `MTU_TRACE_BIN` names, else it is built.
fn binary() -> Result<PathBuf> {
    if env::var_os("MTU_TRACE_BIN").is_some() {
        return Ok(lab::binary::mtu_trace());
    }
    setup::run()?;
    run::build_mtu_trace(Profile::Debug)
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
