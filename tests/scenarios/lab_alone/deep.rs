//! Three levels of containers: the same faults at each, behind up to three translations.

use anyhow::{Result, ensure};
use lab::counters::{dropped, snmp, snmp6};
use lab::firewall::{self, Hook};
use lab::topology::{Deep, DeepLab, Level};
use lab::traffic::Transfer;

use crate::verdict::{at_least_three, completes, hangs};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

/// One level has these MTUs, the others 1500.
fn with_level(depth: usize, level: Level) -> Result<DeepLab> {
    let mut deep = Deep::default();
    deep.levels[depth] = level;
    deep.build()
}

#[test]
fn equal_levels_pass_everything() -> Result<()> {
    let lab = Deep::default().build()?;
    for transfer in [DOWNLOAD, UPLOAD, DOWNLOAD.v6(), UPLOAD.v6()] {
        completes(&lab.run(&transfer)?)?;
    }
    for depth in 0..3 {
        ensure!(snmp(lab.forwarder(depth)?, "Ip", "FragFails")? == 0);
    }
    Ok(())
}

#[test]
fn discovery_works_through_every_translation() -> Result<()> {
    for transfer in [DOWNLOAD, UPLOAD, DOWNLOAD.v6(), UPLOAD.v6()] {
        // Only the container's own end is 1500, so every level is found out by itself.
        let lab = Deep {
            levels: [1350, 1400, 1500].map(Level::of),
            ..Deep::default()
        }
        .build()?;
        completes(&lab.run(&transfer)?)?;
    }
    Ok(())
}

#[test]
fn a_filter_makes_a_hole_at_its_level() -> Result<()> {
    for depth in [0, 1] {
        let lab = with_level(depth, Level::of(1450))?;
        let forwarder = lab.forwarder(depth)?;
        firewall::drop_frag_needed(forwarder, Hook::Output)?;
        firewall::drop_packet_too_big(forwarder, Hook::Output)?;
        hangs(&lab.run(&DOWNLOAD)?)?;
        at_least_three("FragFails", snmp(forwarder, "Ip", "FragFails")?)?;
        hangs(&lab.run(&DOWNLOAD.v6())?)?;
        at_least_three("too big", snmp6(forwarder, "Ip6InTooBigErrors")?)?;
        for other in (0..3).filter(|other| *other != depth) {
            ensure!(snmp(lab.forwarder(other)?, "Ip", "FragFails")? == 0);
        }
    }
    Ok(())
}

#[test]
fn a_small_end_is_silent_at_its_level() -> Result<()> {
    for depth in [0, 1] {
        let lab = with_level(
            depth,
            Level {
                container: 1450,
                port: 1500,
            },
        )?;
        hangs(&lab.run(&DOWNLOAD)?)?;
        for other in 0..3 {
            let count = dropped(lab.forwarder(other)?, DeepLab::PORT)?.tx;
            ensure!((count >= 3) == (other == depth), "{count} at {other}");
        }
        // The other way the small end is the sender's own, and it says so.
        completes(&lab.run(&UPLOAD)?)?;
    }
    Ok(())
}

/// The innermost container offers an MSS that fits its own interface.
#[test]
fn a_small_innermost_end_is_no_fault() -> Result<()> {
    let lab = with_level(
        2,
        Level {
            container: 1450,
            port: 1500,
        },
    )?;
    completes(&lab.run(&DOWNLOAD)?)?;
    ensure!(dropped(lab.forwarder(2)?, DeepLab::PORT)?.tx == 0);
    Ok(())
}
