//! Packets that are too big for the far end of a veth pair: they die without a word.

use anyhow::{Result, ensure};
use lab::{
    expect::{self, Expected, Signal, Site},
    topology::{Nested, NestedLab},
    traffic::{Direction, Outcome, Transfer},
};

use crate::{DOWNLOAD, ONE_SEGMENT, sees_drops_and_retransmissions, traced};

/// The host's end of the uplink sends, and its peer in `out` does not take it.
fn expected<'a>(
    lab: &'a NestedLab,
    outcome: &'a Outcome,
    limit_bytes: u32,
) -> Result<Expected<'a>> {
    Ok(Expected {
        client: lab.inside()?,
        outcome,
        direction: Direction::Download,
        site: Site {
            netns: lab.host()?,
            ingress: None,
            egress: NestedLab::OUTER_PORT,
            function: "__dev_forward_skb2",
            limit_bytes,
        },
        signal: Signal::Silent,
    })
}

fn uplink(mtu: u32) -> Nested {
    Nested {
        uplink: mtu,
        ..Nested::default()
    }
}

#[test]
fn b1_peer_is_smaller() -> Result<()> {
    let lab = uplink(1450).build()?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    expected(&lab, &outcome, 1450)?.black_hole(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn b2_offloads_pass_more_than_a_segment() -> Result<()> {
    let lab = Nested {
        offloads: true,
        ..uplink(1450)
    }
    .build()?;
    let pairs = Transfer::download(20 * ONE_SEGMENT).paced(2 * ONE_SEGMENT);
    let (recording, outcome) = traced(&lab, &pairs)?;
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    sees_drops_and_retransmissions(&recording)?;
    expect::nothing_worse_than_info(&lab.lab, &recording)
}

#[test]
fn b2b_offloads_leave_a_single_segment_to_die() -> Result<()> {
    let lab = Nested {
        offloads: true,
        ..uplink(1450)
    }
    .build()?;
    let (recording, outcome) = traced(&lab, &Transfer::download(ONE_SEGMENT))?;
    expected(&lab, &outcome, 1450)?.black_hole(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn b3_peer_is_smaller_within_the_slack() -> Result<()> {
    let lab = uplink(1496).build()?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    sees_drops_and_retransmissions(&recording)?;
    expect::nothing_worse_than_info(&lab.lab, &recording)
}

#[test]
fn b4_peer_is_smaller_by_a_byte_more() -> Result<()> {
    let lab = uplink(1495).build()?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    expected(&lab, &outcome, 1495)?.black_hole(&lab.lab, &recording)?;
    Ok(())
}
