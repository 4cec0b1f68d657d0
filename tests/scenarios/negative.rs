//! What is no black hole and must not be called one.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use lab::{
    expect,
    firewall::{self, Hook},
    report::Severity,
    topology::{Nested, NestedLab},
    tracer,
    traffic::{self, Transfer},
};

use crate::{sees_drops_and_retransmissions, traced};

/// Enough for some thirty losses in a hundred packets' worth of windows, few enough to finish soon.
const LOSSY: Transfer = Transfer::download(1_000_000).within(Duration::from_secs(20));

#[test]
fn bulk_transfer_over_equal_mtus() -> Result<()> {
    let lab = Nested {
        offloads: true,
        ..Nested::default()
    }
    .build()?;
    let (recording, outcomes) = tracer::record(|| {
        Ok([
            lab.run(&Transfer::download(20_000_000))?,
            lab.run(&Transfer {
                port: 8081,
                ..Transfer::upload(20_000_000)
            })?,
        ])
    })?;
    ensure!(
        outcomes.iter().all(traffic::Outcome::completed),
        "{outcomes:?}"
    );
    sees_drops_and_retransmissions(&recording)?;
    expect::nothing_worse_than_info(&lab.lab, &recording)
}

#[test]
fn syn_to_a_dead_address() -> Result<()> {
    let lab = Nested::default().build()?;
    let dead = SocketAddr::new(lab.dead_address()?, 8080);
    // SYNs at 0, 1 and 3 s.
    let (recording, answer) =
        tracer::record(|| traffic::connect(lab.inside()?, dead, Duration::from_millis(3500)))?;
    ensure!(answer.is_err(), "something answered");
    let finding = expect::only(&lab.lab, &recording, "handshake-timeout")?;
    let connection = finding.connection.as_ref();
    ensure!(
        finding.severity == Severity::Warning
            && connection.is_some_and(|it| it.remote.address == dead.ip().to_string()),
        "{}",
        recording.everything()
    );
    expect::no("mtu-black-hole", &lab.lab, &recording)
}

fn loss_is_no_black_hole(lab: &NestedLab) -> Result<()> {
    let (recording, outcome) = traced(lab, &LOSSY)?;
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    let findings = recording.findings(&lab.lab);
    let named = findings
        .iter()
        .any(|it| ["packet-loss", "local-drop"].contains(&it.verdict.as_str()));
    ensure!(
        named,
        "the losses were not seen\n{}",
        recording.everything()
    );
    let severe = findings.iter().any(|it| it.severity == Severity::Error);
    ensure!(
        !severe,
        "loss that recovers is no error\n{}",
        recording.everything()
    );
    expect::no("mtu-black-hole", &lab.lab, &recording)
}

#[test]
fn random_loss_in_a_forwarder() -> Result<()> {
    let lab = Nested::default().build()?;
    firewall::lose(lab.host()?, Hook::Forward, 5)?;
    loss_is_no_black_hole(&lab)
}

#[test]
fn random_loss_on_arrival() -> Result<()> {
    let lab = Nested::default().build()?;
    firewall::lose_on_arrival(lab.out()?, NestedLab::UPLINK, 5)?;
    loss_is_no_black_hole(&lab)
}
