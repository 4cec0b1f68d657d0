//! A trace that begins in the middle of a stall, when the sender has nothing to send for seconds.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::counters::snmp;
use lab::firewall::{Hook, drop_frag_needed};
use lab::report::{Confidence, Severity};
use lab::topology::{Nested, NestedLab};
use lab::tracer::Tracer;
use lab::traffic::{self, Transfer};

use crate::{DOWNLOAD, small_uplink};

/// The sender tries again 0.2, 0.6, 1.5, 3.1 and 6.5 s after the first loss, then after 13 s.
const STALLED: Duration = Duration::from_millis(7000);
/// A look at sockets comes within a second.
const LOOK: Duration = Duration::from_secs(2);

/// Attempts on a machine so slow that the sender tried again meanwhile say nothing.
const MOST_ATTEMPTS: usize = 3;

#[test]
fn a_stall_is_named_before_anything_is_sent_again() -> Result<()> {
    for _ in 0..MOST_ATTEMPTS {
        if attempt()? {
            return Ok(());
        }
    }
    anyhow::bail!("the machine is too slow")
}

/// Whether it could be seen.
fn attempt() -> Result<bool> {
    // Behind two NATs, only the container knows whose the way is.
    let lab = Nested {
        masquerade: true,
        ..small_uplink()
    }
    .build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let stalled = traffic::carry(lab.open(&DOWNLOAD)?, &DOWNLOAD.within(STALLED))?;
    ensure!(stalled.hung(), "{stalled:?}");
    let tries = || snmp(lab.server()?, "Tcp", "RetransSegs");
    let before = tries()?;
    let tracer = Tracer::start(&[])?;
    let waiting = Transfer::download(1).within(LOOK);
    let stalled = traffic::push(stalled.connection, &waiting)?;
    let recording = tracer.stop()?;
    ensure!(stalled.hung(), "{stalled:?}");
    if tries()? > before {
        return Ok(false);
    }

    let findings = recording.findings(&lab.lab);
    let [finding] = findings.as_slice() else {
        anyhow::bail!("not one finding:\n{}", recording.everything());
    };
    let boundary = finding.boundary.as_ref().context("a boundary")?;
    let connection = finding.connection.as_ref().context("a connection")?;
    let local = connection.local.netns.as_ref().context("a local end")?;
    let evidence = &finding.evidence;
    ensure!(
        finding.verdict == "mtu-black-hole"
            && finding.severity == Severity::Error
            // Nothing has died yet, so it may be something else.
            && finding.confidence == Confidence::Suspected
            && (evidence.oversized_drops, evidence.retransmits) == (0, 0)
            && finding.pmtud.is_none()
            && connection.direction == "download"
            && local.is(lab.inside()?)
            && boundary.netns.is(lab.host()?)
            && boundary.egress.as_deref() == Some(NestedLab::OUTER_BRIDGE)
            && (boundary.limit_bytes, boundary.packet_bytes) == (1450, 1500)
            && !finding.fixes.is_empty(),
        "{}",
        recording.everything()
    );
    Ok(true)
}
