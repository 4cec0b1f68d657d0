//! Connections that end, or whose other end has gone: no packet is too big.

use std::io::ErrorKind;

use anyhow::{Result, ensure};
use lab::counters::snmp;
use lab::link;
use lab::topology::{Nested, NestedLab, Wired, WiredLab};
use lab::traffic::{self, Transfer};

use crate::verdict::{at_least_three, hangs};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

#[test]
fn the_first_data_is_answered_with_a_reset() -> Result<()> {
    for transfer in [DOWNLOAD, DOWNLOAD.v6()] {
        for masquerade in [false, true] {
            let lab = Nested {
                masquerade,
                ..Nested::default()
            }
            .build()?;
            let outcome = traffic::refuse(lab.open(&transfer)?, &transfer)?;
            ensure!(
                outcome.failure == Some(ErrorKind::ConnectionReset) && outcome.received == 0,
                "{outcome:?}"
            );
            ensure!(snmp(lab.server()?, "Tcp", "OutRsts")? == 1);
            ensure!(snmp(lab.inside()?, "Tcp", "EstabResets")? == 1);
            ensure!(snmp(lab.inside()?, "Tcp", "RetransSegs")? == 0);
        }
    }
    Ok(())
}

/// Small packets are as dead as large ones.
#[test]
fn a_server_without_its_interface_is_silent() -> Result<()> {
    for transfer in [UPLOAD, UPLOAD.v6(), Transfer::upload(100)] {
        let lab = Nested::default().build()?;
        let connection = lab.open(&transfer)?;
        link::set_down(lab.server()?, NestedLab::SERVER)?;
        hangs(&traffic::push(connection, &transfer)?)?;
        at_least_three(
            "retransmissions",
            snmp(lab.inside()?, "Tcp", "RetransSegs")?,
        )?;
        ensure!(snmp(lab.host()?, "Ip", "FragFails")? == 0);
    }
    Ok(())
}

#[test]
fn a_server_that_is_gone_behind_a_wire() -> Result<()> {
    let lab = Wired::default().build()?;
    let connection = lab.open(&UPLOAD)?;
    link::set_down(lab.server()?, WiredLab::DEVICE)?;
    hangs(&traffic::push(connection, &UPLOAD)?)?;
    at_least_three(
        "retransmissions",
        snmp(lab.client()?, "Tcp", "RetransSegs")?,
    )?;
    at_least_three("discarded", lab.wire.discarded())
}
