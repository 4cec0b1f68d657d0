//! Containers on macvlan: what is beyond the lower device can be too small, and not another macvlan.

use std::io::Write;

use anyhow::{Result, ensure};
use lab::{
    counters::dropped,
    kinds::Kind,
    link,
    topology::{Macvlan, MacvlanLab},
    traffic::{self, Transfer},
};

use crate::verdict::{at_least_three, completes, hangs};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

/// Builds it, or says that this kernel cannot.
fn build(macvlan: Macvlan) -> Result<Option<MacvlanLab>> {
    if Kind::Macvlan.is_supported()? {
        return macvlan.build().map(Some);
    }
    // Not eprintln, which is not shown of a test that passes.
    writeln!(std::io::stderr(), "SKIPPED: this kernel has no macvlan")?;
    Ok(None)
}

#[test]
fn equal_macvlans_pass_everything() -> Result<()> {
    let Some(lab) = build(Macvlan::default())? else {
        return Ok(());
    };
    for transfer in [DOWNLOAD, UPLOAD, DOWNLOAD.v6(), UPLOAD.v6()] {
        completes(&lab.run(&transfer)?)?;
        completes(&traffic::carry(lab.open_beside(&transfer)?, &transfer)?)?;
    }
    ensure!(dropped(lab.host()?, MacvlanLab::LOWER)?.tx == 0);
    Ok(())
}

#[test]
fn a_small_end_beyond_the_lower_device_is_silent() -> Result<()> {
    let Some(lab) = build(Macvlan::default())? else {
        return Ok(());
    };
    // After the handshake, since the server would offer an MSS that fits.
    let connection = lab.open(&UPLOAD)?;
    link::set_mtu(lab.server()?, MacvlanLab::DEVICE, 1450)?;
    hangs(&traffic::carry(connection, &UPLOAD)?)?;
    at_least_three("tx_dropped", dropped(lab.host()?, MacvlanLab::LOWER)?.tx)
}

/// The lower device takes the packet and hands it on, whatever the MTU of the one that it is for.
#[test]
fn a_smaller_macvlan_takes_what_is_longer() -> Result<()> {
    let Some(lab) = build(Macvlan::default())? else {
        return Ok(());
    };
    let connection = lab.open_beside(&UPLOAD)?;
    link::set_mtu(lab.second()?, MacvlanLab::DEVICE, 1400)?;
    completes(&traffic::carry(connection, &UPLOAD)?)
}

#[test]
fn a_macvlan_follows_its_lower_device_down() -> Result<()> {
    let Some(lab) = build(Macvlan::default())? else {
        return Ok(());
    };
    let larger = link::set_mtu(lab.first()?, MacvlanLab::DEVICE, 1501);
    ensure!(larger.is_err(), "larger than the lower device");
    link::set_mtu(lab.host()?, MacvlanLab::LOWER, 1400)?;
    let text = lab
        .first()?
        .ip_output(&["link", "show", MacvlanLab::DEVICE])?;
    ensure!(text.contains("mtu 1400"), "{text}");
    completes(&lab.run(&UPLOAD)?)
}
