//! The same faults behind two masquerades: the tuple at the drop is not the container's.

use anyhow::{Context, Result, ensure};
use lab::{
    address::{Family, OUTER},
    expect::{Expected, Signal, Site},
    firewall::{Hook, drop_frag_needed},
    report::Finding,
    topology::{Nested, NestedLab},
    traffic::{Direction, Outcome},
};

use crate::{DOWNLOAD, small_uplink, traced};

fn masquerading() -> Nested {
    Nested {
        masquerade: true,
        ..small_uplink()
    }
}

/// The connection is the container's own, with its own address.
fn expected<'a>(
    lab: &'a NestedLab,
    outcome: &'a Outcome,
    signal: Signal<'a>,
) -> Result<Expected<'a>> {
    Ok(Expected {
        client: lab.inside()?,
        outcome,
        direction: Direction::Download,
        site: Site {
            netns: lab.host()?,
            ingress: Some(NestedLab::EXTERNAL),
            egress: NestedLab::OUTER_BRIDGE,
            function: "ip_forward",
            limit_bytes: 1450,
        },
        signal,
    })
}

/// At the drop the host has undone its own masquerade, but not that of `out`.
fn names_the_tuple_at_the_drop(finding: &Finding) -> Result<()> {
    let out = OUTER.host(2, Family::V4).to_string();
    let connection = finding.connection.as_ref().context("no connection")?;
    ensure!(
        connection
            .translated
            .iter()
            .any(|tuple| tuple.contains(&out)),
        "no tuple with {out}: {:?}",
        connection.translated
    );
    Ok(())
}

#[test]
fn n1_discovery_works_through_two_masquerades() -> Result<()> {
    let lab = masquerading().build()?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    expected(&lab, &outcome, Signal::Delivered)?.pmtud_working(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn n2_black_hole_behind_two_masquerades() -> Result<()> {
    let lab = masquerading().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    let signal = Signal::BlockedAt(lab.host()?, Hook::Output);
    let finding = expected(&lab, &outcome, signal)?.black_hole(&lab.lab, &recording)?;
    names_the_tuple_at_the_drop(finding)
}
