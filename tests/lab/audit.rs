//! `mtu-trace check`: the audit of the whole machine, of which a test reads what is about its lab.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::{Finished, finish};
use crate::report::{Boundary, Finding};
use crate::tracer::Recording;
use crate::{Lab, binary};

/// How long an audit may take on a machine that runs many tests at once.
const LIMIT: Duration = Duration::from_secs(40);

/// Runs `check` with `options`.
///
/// # Errors
///
/// It cannot be started or does not end.
pub fn run(options: &[&str]) -> Result<Finished> {
    finish(
        Command::new(binary::mtu_trace()).arg("check").args(options),
        LIMIT,
    )
}

/// Audits the machine as it is now.
///
/// # Errors
///
/// It fails, or its report is not what the contract says.
pub fn check() -> Result<Recording> {
    Recording::read(run(&["--format", "json"])?)
}

/// The finding of an audit that is about the same place as one of a trace.
#[must_use]
pub fn about<'a>(audit: &'a Recording, lab: &Lab, place: &Boundary) -> Option<&'a Finding> {
    audit.findings(lab).into_iter().find(|finding| {
        finding
            .boundary
            .as_ref()
            .is_some_and(|boundary| is_same(boundary, place))
    })
}

fn is_same(a: &Boundary, b: &Boundary) -> bool {
    let ingress = match (&a.ingress, &b.ingress) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let place = |it: &Boundary| {
        (
            it.netns.inode,
            it.netns.cookie,
            it.egress.clone(),
            it.limit_bytes,
            it.packet_bytes,
            it.function.clone(),
            it.silent,
        )
    };
    ingress && place(a) == place(b)
}
