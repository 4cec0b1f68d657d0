//! The same faults with IPv6, where only the sender may fragment and a router always tells it.

use anyhow::Result;
use lab::{
    expect::{Expected, Signal, Site},
    firewall::{Hook, drop_packet_too_big},
    topology::{Nested, NestedLab},
    traffic::{Direction, Outcome},
};

use crate::{DOWNLOAD, UPLOAD, small_uplink, traced};

fn forwarded<'a>(
    lab: &'a NestedLab,
    outcome: &'a Outcome,
    direction: Direction,
    signal: Signal<'a>,
) -> Result<Expected<'a>> {
    let (netns, ingress, egress) = match direction {
        Direction::Download => (lab.host()?, NestedLab::EXTERNAL, NestedLab::OUTER_BRIDGE),
        Direction::Upload => (lab.out()?, NestedLab::INNER_BRIDGE, NestedLab::UPLINK),
    };
    Ok(Expected {
        client: lab.inside()?,
        outcome,
        direction,
        site: Site {
            netns,
            ingress: Some(ingress),
            egress,
            function: "ip6_forward",
            limit_bytes: 1450,
        },
        signal,
    })
}

#[test]
fn v1_download_discovers_the_mtu() -> Result<()> {
    let lab = small_uplink().build()?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD.v6())?;
    forwarded(&lab, &outcome, Direction::Download, Signal::Delivered)?
        .pmtud_working(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn v2_download_with_the_message_dropped_by_the_forwarder() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_packet_too_big(lab.host()?, Hook::Output)?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD.v6())?;
    let signal = Signal::BlockedAt(lab.host()?, Hook::Output);
    forwarded(&lab, &outcome, Direction::Download, signal)?.black_hole(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn v2_upload_with_the_message_dropped_by_the_container() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_packet_too_big(lab.inside()?, Hook::Input)?;
    let (recording, outcome) = traced(&lab, &UPLOAD.v6())?;
    let signal = Signal::BlockedAt(lab.inside()?, Hook::Input);
    forwarded(&lab, &outcome, Direction::Upload, signal)?.black_hole(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn v4_peer_is_smaller() -> Result<()> {
    let lab = Nested {
        uplink: 1450,
        ..Nested::default()
    }
    .build()?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD.v6())?;
    Expected {
        client: lab.inside()?,
        outcome: &outcome,
        direction: Direction::Download,
        site: Site {
            netns: lab.host()?,
            ingress: None,
            egress: NestedLab::OUTER_PORT,
            function: "__dev_forward_skb2",
            limit_bytes: 1450,
        },
        signal: Signal::Silent,
    }
    .black_hole(&lab.lab, &recording)?;
    Ok(())
}
