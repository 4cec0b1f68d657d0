//! Containers on macvlan: what is beyond the lower device can be too small, and not another macvlan.

use anyhow::{Result, ensure};
use lab::counters::dropped;
use lab::kinds::Kind;
use lab::link;
use lab::topology::{Macvlan, MacvlanLab};
use lab::traffic::{self, Transfer};

use crate::verdict::{completes, has};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

/// Builds it where this kernel can.
fn build(macvlan: Macvlan) -> Result<Option<MacvlanLab>> {
    has(Kind::Macvlan)?.then(|| macvlan.build()).transpose()
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
