//! Paths that differ: each way has its own hole, and a router sees one way only.

use anyhow::{Result, ensure};
use lab::clamp::clamp_to_pmtu;
use lab::counters::snmp;
use lab::firewall::{self, Hook};
use lab::topology::{Asymmetric, AsymmetricLab};
use lab::traffic::Transfer;

use crate::verdict::{at_least_three, completes, hangs};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

/// Only the way back is small, and its router may tell nobody.
fn silent_way_back() -> Result<AsymmetricLab> {
    let lab = Asymmetric {
        back: 1450,
        ..Asymmetric::default()
    }
    .build()?;
    firewall::drop_frag_needed(lab.back()?, Hook::Output)?;
    firewall::drop_packet_too_big(lab.back()?, Hook::Output)?;
    Ok(lab)
}

#[test]
fn each_way_has_its_own_router() -> Result<()> {
    let lab = Asymmetric::default().build()?;
    for transfer in [DOWNLOAD, UPLOAD, DOWNLOAD.v6(), UPLOAD.v6()] {
        completes(&lab.run(&transfer)?)?;
    }
    let forwarded = |netns| snmp(netns, "Ip", "ForwDatagrams");
    let (forth, back) = (forwarded(lab.forth()?)?, forwarded(lab.back()?)?);
    // Fourteen full-size segments one way at least, and their acknowledgements the other.
    ensure!(forth >= 14 && back >= 14, "{forth} forth, {back} back");
    Ok(())
}

#[test]
fn discovery_works_each_way() -> Result<()> {
    for transfer in [DOWNLOAD, UPLOAD, DOWNLOAD.v6(), UPLOAD.v6()] {
        let lab = Asymmetric {
            forth: 1450,
            back: 1400,
            ..Asymmetric::default()
        }
        .build()?;
        completes(&lab.run(&transfer)?)?;
    }
    Ok(())
}

#[test]
fn only_the_small_way_hangs() -> Result<()> {
    let lab = silent_way_back()?;
    completes(&lab.run(&UPLOAD)?)?;
    completes(&lab.run(&UPLOAD.v6())?)?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    hangs(&lab.run(&DOWNLOAD.v6())?)?;
    at_least_three("FragFails", snmp(lab.back()?, "Ip", "FragFails")?)?;
    ensure!(snmp(lab.forth()?, "Ip", "FragFails")? == 0);
    Ok(())
}

/// The router of the way back sees the server's half of the handshake, which limits the client.
#[test]
fn a_clamp_on_the_small_way_does_not_help() -> Result<()> {
    let lab = silent_way_back()?;
    clamp_to_pmtu(lab.back()?)?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    clamp_to_pmtu(lab.forth()?)?;
    hangs(&lab.run(&DOWNLOAD)?)
}
