//! The tracer on real packets: a fault is built, traffic meets it, and the report is compared with
//! what the kernel is known to have done.
//!
//! Every test has namespaces of its own and reads only the findings that touch them, so all may run at
//! once; the few that judge the whole machine wait until they are alone.
#![allow(missing_docs, reason = "a test's name says what it is")]

mod captured;
mod check;
mod check_guests;
mod check_overlay;
mod cleanup;
mod degraded;
mod demo;
mod following;
mod forgotten;
mod harmless;
mod late;
mod record_cli;
mod screens;
mod selecting;

use lab::topology::Nested;
use lab::traffic::Transfer;

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

/// A container host whose uplink is smaller than its inner network, at both ends.
fn small_uplink() -> Nested {
    Nested {
        uplink: 1450,
        port: 1450,
        ..Nested::default()
    }
}
