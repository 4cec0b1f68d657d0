//! The tracer on real packets: a fault is built, traffic meets it, and the report is compared with
//! what the kernel is known to have done.
//!
//! Every test has namespaces of its own and reads only the findings that touch them, so all may run at
//! once; the few that judge the whole machine wait until they are alone.
#![allow(missing_docs, reason = "a test's name says what it is")]

mod bridge;
mod captured;
mod check;
mod check_guests;
mod check_overlay;
mod check_predicts;
mod cleanup;
mod degraded;
mod demo;
mod following;
mod forwarding;
mod harmless;
mod ipv6;
mod late;
mod nat;
mod negative;
mod record_cli;
mod screens;
mod selecting;
mod veth;

use anyhow::{Result, ensure};
use lab::{
    topology::{Nested, NestedLab},
    tracer::{self, Recording},
    traffic::{Outcome, Transfer},
};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);
/// The payload of one full-size segment on an MTU of 1500, with TCP timestamps.
const ONE_SEGMENT: usize = 1448;

/// A container host whose uplink is smaller than its inner network, at both ends.
fn small_uplink() -> Nested {
    Nested {
        uplink: 1450,
        port: 1450,
        ..Nested::default()
    }
}

/// Traces one transfer between the container and the server.
fn traced(lab: &NestedLab, transfer: &Transfer) -> Result<(Recording, Outcome)> {
    tracer::record(|| lab.run(transfer))
}

/// A tracer that is blind finds nothing either.
fn sees_drops_and_retransmissions(recording: &Recording) -> Result<()> {
    for name in ["skb:kfree_skb", "tcp:tcp_retransmit_skb"] {
        let attached = recording
            .report
            .capture
            .hooks
            .iter()
            .any(|it| it.hook == name && it.attached);
        ensure!(
            attached,
            "{name} is not attached\n{}",
            recording.everything()
        );
    }
    Ok(())
}
