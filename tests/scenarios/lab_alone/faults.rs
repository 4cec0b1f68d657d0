//! What the rows of the table of scenarios rest on: without a fault everything passes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::address::{Family, INNER, OUTER};
use lab::counters::snmp;
use lab::firewall::{self, Hook};
use lab::topology::{Nested, NestedLab};
use lab::traffic::{self, Transfer};
use lab::{link, nat};

use crate::verdict::{SMALL_UPLINK, completes};

/// The payload of one full-size segment on an MTU of 1500, with TCP timestamps.
const ONE_SEGMENT: usize = 1448;
const DOWNLOAD: Transfer = Transfer::download(20_000);

#[test]
fn equal_mtus_pass_everything() -> Result<()> {
    let lab = Nested {
        offloads: true,
        ..Nested::default()
    }
    .build()?;
    for transfer in [
        Transfer::download(5_000_000),
        Transfer::upload(5_000_000),
        DOWNLOAD.v6(),
    ] {
        completes(&lab.run(&transfer)?)?;
    }
    ensure!(snmp(lab.host()?, "Ip", "FragFails")? == 0);
    Ok(())
}

#[test]
fn paced_segments_arrive_one_by_one() -> Result<()> {
    let lab = Nested::default().build()?;
    completes(&lab.run(&Transfer::download(10 * ONE_SEGMENT).paced(ONE_SEGMENT))?)?;
    // Ten segments, the answer to the SYN, and acknowledgements; a single write would need no more
    // than the ten, so pacing shows in the answers of the client.
    ensure!(snmp(lab.inside()?, "Tcp", "OutSegs")? >= 12);
    Ok(())
}

#[test]
fn published_port_reaches_the_container() -> Result<()> {
    let lab = Nested::default().build()?;
    let published = SocketAddr::new(OUTER.host(2, Family::V4), 8443);
    let target = SocketAddr::new(INNER.host(2, Family::V4), 8080);
    nat::publish(lab.out()?, published, target)?;
    let _listener = traffic::listen(lab.inside()?, target)?;
    traffic::connect(lab.host()?, published, Duration::from_secs(2))?.context("connecting")?;
    Ok(())
}

#[test]
fn mtu_can_change_under_traffic() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
    link::set_mtu(lab.out()?, NestedLab::UPLINK, 1500)?;
    link::set_mtu(lab.host()?, NestedLab::OUTER_PORT, 1500)?;
    completes(&lab.run(&DOWNLOAD)?)
}
