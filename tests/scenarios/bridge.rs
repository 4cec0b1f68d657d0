//! Packets that are too big for a port of a bridge: no ICMP, and no counter either.

use anyhow::Result;
use lab::{
    expect::{Expected, Signal, Site},
    topology::{Nested, NestedLab, Switched, SwitchedLab},
    tracer,
    traffic::Direction,
};

use crate::{DOWNLOAD, small_uplink, traced};

#[test]
fn c1_bridge_is_larger_than_its_port() -> Result<()> {
    let lab = Nested {
        bridge: Some(1500),
        ..small_uplink()
    }
    .build()?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    let expected = Expected {
        client: lab.inside()?,
        outcome: &outcome,
        direction: Direction::Download,
        site: Site {
            netns: lab.host()?,
            ingress: None,
            egress: NestedLab::OUTER_PORT,
            function: "br_dev_queue_push_xmit",
            limit_bytes: 1450,
        },
        signal: Signal::Silent,
    };
    expected.black_hole(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn l1_switch_has_a_smaller_port() -> Result<()> {
    let lab = Switched {
        port: 1450,
        ..Switched::default()
    }
    .build()?;
    let (recording, outcome) = tracer::record(|| lab.run(&DOWNLOAD))?;
    let expected = Expected {
        client: lab.client()?,
        outcome: &outcome,
        direction: Direction::Download,
        site: Site {
            netns: lab.switch()?,
            ingress: None,
            egress: SwitchedLab::CLIENT_PORT,
            function: "br_dev_queue_push_xmit",
            limit_bytes: 1450,
        },
        signal: Signal::Silent,
    };
    expected.black_hole(&lab.lab, &recording)?;
    Ok(())
}
