//! VLANs on an interface: what limits them, and what room their tags take.

use anyhow::{Result, ensure};
use lab::counters::{dropped, snmp};
use lab::kinds::Kind;
use lab::link;
use lab::topology::{Trunk, TrunkLab};
use lab::traffic::{self, Transfer};

use crate::verdict::{completes, hangs, has};

const UPLOAD: Transfer = Transfer::upload(20_000);

/// Builds it where this kernel can.
fn build(trunk: Trunk) -> Result<Option<TrunkLab>> {
    has(Kind::Vlan)?.then(|| trunk.build()).transpose()
}

/// An upload whose far end becomes `mtu` after the handshake.
fn shrunk(written: bool, mtu: u32) -> Result<Option<(TrunkLab, traffic::Outcome)>> {
    let trunk = Trunk {
        written,
        ..Trunk::default()
    };
    let Some(lab) = build(trunk)? else {
        return Ok(None);
    };
    let connection = lab.open(&UPLOAD)?;
    link::set_mtu(lab.server()?, TrunkLab::SERVER_LOWER, mtu)?;
    let outcome = traffic::carry(connection, &UPLOAD)?;
    Ok(Some((lab, outcome)))
}

#[test]
fn equal_mtus_pass_everything() -> Result<()> {
    for written in [false, true] {
        let trunk = Trunk {
            written,
            ..Trunk::default()
        };
        let Some(lab) = build(trunk)? else {
            return Ok(());
        };
        for transfer in [UPLOAD, Transfer::download(20_000), UPLOAD.v6()] {
            completes(&lab.run(&transfer)?)?;
        }
        ensure!(dropped(lab.host()?, TrunkLab::LOWER)?.tx == 0);
    }
    Ok(())
}

#[test]
fn a_small_vlan_tells_the_sender() -> Result<()> {
    let small = Trunk {
        vlan: 1450,
        ..Trunk::default()
    };
    let Some(lab) = build(small)? else {
        return Ok(());
    };
    completes(&lab.run(&UPLOAD)?)?;
    ensure!(snmp(lab.host()?, "Ip", "FragFails")? >= 1);
    Ok(())
}

/// The four bytes that a veth adds to its peer's MTU are for a tag in the frame.
#[test]
fn a_written_tag_takes_the_slack() -> Result<()> {
    for (written, passes) in [(false, true), (true, false)] {
        let Some((_lab, outcome)) = shrunk(written, 1496)? else {
            return Ok(());
        };
        if passes {
            completes(&outcome)?;
        } else {
            hangs(&outcome)?;
        }
    }
    Ok(())
}
