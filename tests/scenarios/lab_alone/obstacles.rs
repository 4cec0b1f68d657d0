//! Firewalls and queues that drop packets by something else than the MTU.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::address::Family;
use lab::counters::snmp;
use lab::firewall::{self, Hook};
use lab::queue::{self, Bucket};
use lab::topology::{Nested, NestedLab};
use lab::traffic::{self, Transfer};
use lab::udp::{self, Datagrams};

use crate::verdict::{at_least_three, completes, hangs};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

#[test]
fn a_closed_port_lets_no_connection_open() -> Result<()> {
    let lab = Nested::default().build()?;
    firewall::drop_port(lab.host()?, Hook::Forward, DOWNLOAD.port)?;
    for family in [Family::V4, Family::V6] {
        let address = SocketAddr::new(lab.server_address(family), DOWNLOAD.port);
        let _listener = traffic::listen(lab.server()?, address)?;
        let answer = traffic::connect(lab.inside()?, address, Duration::from_millis(1500))?;
        ensure!(answer.is_err_and(|error| error.kind() == ErrorKind::TimedOut));
        completes(&lab.run(&Transfer {
            family,
            port: DOWNLOAD.port + 1,
            ..DOWNLOAD
        })?)?;
    }
    // Two each: the SYN and its first repetition after a second.
    ensure!(firewall::dropped(lab.host()?, firewall::PORT)? >= 4);
    Ok(())
}

#[test]
fn a_firewall_that_drops_what_is_long() -> Result<()> {
    for transfer in [DOWNLOAD, UPLOAD, DOWNLOAD.v6()] {
        let lab = Nested::default().build()?;
        firewall::drop_longer(lab.host()?, Hook::Forward, 1499)?;
        hangs(&lab.run(&transfer)?)?;
        at_least_three("dropped", firewall::dropped(lab.host()?, firewall::LENGTH)?)?;
        // Small segments pass, and no counter of IP knows of the long ones.
        completes(&lab.run(&Transfer {
            bytes: 1000,
            ..transfer
        })?)?;
        ensure!(snmp(lab.host()?, "Ip", "FragFails")? == 0);
        ensure!(snmp(lab.host()?, "Icmp", "OutDestUnreachs")? == 0);
    }
    let lab = Nested::default().build()?;
    firewall::drop_longer(lab.host()?, Hook::Forward, 1500)?;
    completes(&lab.run(&DOWNLOAD)?)?;
    ensure!(firewall::dropped(lab.host()?, firewall::LENGTH)? == 0);
    Ok(())
}

#[test]
fn a_full_queue_slows_but_completes() -> Result<()> {
    for offloads in [false, true] {
        let lab = Nested {
            offloads,
            ..Nested::default()
        }
        .build()?;
        queue::narrow(lab.host()?, NestedLab::EXTERNAL, Bucket::default())?;
        let transfer = Transfer::upload(300_000).within(Duration::from_secs(15));
        let outcome = lab.run(&transfer)?;
        completes(&outcome)?;
        ensure!(outcome.elapsed > Duration::from_millis(500), "{outcome:?}");
        at_least_three("dropped", queue::dropped(lab.host()?, NestedLab::EXTERNAL)?)?;
        ensure!(snmp(lab.inside()?, "Tcp", "RetransSegs")? >= 1);
    }
    Ok(())
}

#[test]
fn a_full_queue_drops_small_datagrams_too() -> Result<()> {
    let lab = Nested::default().build()?;
    queue::narrow(lab.host()?, NestedLab::EXTERNAL, Bucket::default())?;
    let datagrams = Datagrams {
        count: 60,
        interval: Duration::ZERO,
        ..Datagrams::probing(500)
    };
    let address = lab.server_address(Family::V4);
    let delivery = udp::send(lab.inside()?, lab.server()?, address, &datagrams)?;
    ensure!(
        delivery.sent == 60 && (1..60).contains(&delivery.arrived),
        "{delivery:?}"
    );
    let lost = queue::dropped(lab.host()?, NestedLab::EXTERNAL)?;
    ensure!(lost as usize >= 60 - delivery.arrived, "{lost} dropped");
    Ok(())
}
