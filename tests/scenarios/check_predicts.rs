//! What `check` says before a transfer is what a trace finds during it: the same place, for the same
//! reason.

use anyhow::{Context, Result, bail, ensure};
use lab::{
    Lab, audit,
    clamp::clamp_to_pmtu,
    firewall::{Hook, drop_frag_needed, drop_packet_too_big},
    report::{Blocked, Finding, Severity},
    topology::{Nested, Switched},
    tracer::{self, Recording},
    traffic::{Outcome, Transfer},
};

use crate::{DOWNLOAD, ONE_SEGMENT, UPLOAD, small_uplink};

const SEGMENT: Transfer = Transfer::download(ONE_SEGMENT);

/// Verdicts of a trace that are about the size of packets, and how bad an audit says they are.
fn foretold(finding: &Finding) -> Option<Severity> {
    match finding.verdict.as_str() {
        "mtu-black-hole" => Some(Severity::Error),
        "pmtud-working" | "pmtud-slow" => Some(Severity::Warning),
        _ => None,
    }
}

/// Audits, traces a transfer, and compares: the one finding about size that the trace has must have
/// been foretold.
fn predicts(
    lab: &Lab,
    verdict: &str,
    transfer: impl FnOnce() -> Result<Outcome>,
) -> Result<(Recording, Recording)> {
    let audit = audit::check()?;
    let (trace, _connections) = tracer::record(transfer)?;
    let both = || format!("{}\n{}", audit.everything(), trace.everything());
    let found: Vec<&Finding> = trace
        .findings(lab)
        .into_iter()
        .filter(|finding| foretold(finding).is_some())
        .collect();
    let [finding] = found.as_slice() else {
        bail!(
            "{} findings about size in the trace\n{}",
            found.len(),
            both()
        );
    };
    ensure!(
        finding.verdict == verdict,
        "{}\n{}",
        finding.verdict,
        both()
    );
    let place = finding.boundary.as_ref().context("no boundary")?;
    let before = audit::about(&audit, lab, place)
        .with_context(|| format!("{place:?} was not foretold\n{}", both()))?;
    ensure!(
        Some(before.severity) == foretold(finding) && before.verdict == "mtu-mismatch",
        "{before:?}\n{finding:?}"
    );
    let blocked = |finding: &Finding| -> Option<(u64, String)> {
        let at: &Blocked = finding.blocked_at()?;
        Some((at.netns.inode, at.hook.clone()))
    };
    ensure!(
        blocked(before) == blocked(finding),
        "{:?}\n{:?}",
        before.pmtud,
        finding.pmtud
    );
    drop(found);
    Ok((audit, trace))
}

/// Audits and traces a transfer that works: neither blames anything.
fn is_quiet(lab: &Lab, transfer: impl FnOnce() -> Result<Outcome>) -> Result<Recording> {
    let audit = audit::check()?;
    let (trace, outcome) = tracer::record(transfer)?;
    ensure!(outcome.completed(), "{outcome:?}");
    for recording in [&audit, &trace] {
        let blamed = recording
            .findings(lab)
            .iter()
            .any(|finding| finding.severity > Severity::Info);
        ensure!(!blamed, "{}\n{}", audit.everything(), trace.everything());
    }
    Ok(audit)
}

const HOLE: &str = "mtu-black-hole";
const WORKING: &str = "pmtud-working";

#[test]
fn a1_and_a5_discovery() -> Result<()> {
    for transfer in [DOWNLOAD, UPLOAD] {
        let lab = small_uplink().build()?;
        predicts(&lab.lab, WORKING, || lab.run(&transfer))?;
    }
    Ok(())
}

#[test]
fn a2_message_dropped_by_the_forwarder() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    predicts(&lab.lab, HOLE, || lab.run(&DOWNLOAD))?;
    Ok(())
}

#[test]
fn a2b_message_dropped_by_the_server() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.server()?, Hook::Input)?;
    predicts(&lab.lab, HOLE, || lab.run(&DOWNLOAD))?;
    Ok(())
}

#[test]
fn a4_without_df() -> Result<()> {
    let lab = small_uplink().build()?;
    lab.server()?.sysctl("ipv4/ip_no_pmtu_disc", "1")?;
    let audit = audit::check()?;
    let (trace, outcome) = tracer::record(|| lab.run(&DOWNLOAD))?;
    ensure!(outcome.completed(), "{outcome:?}");
    let of_the_server = audit.findings(&lab.lab).into_iter().find(|finding| {
        let boundary = finding.boundary.as_ref();
        boundary.is_some_and(|it| {
            it.function == "ip_forward" && it.netns.inode == lab.host().map_or(0, lab::Netns::inode)
        })
    });
    let finding = of_the_server.with_context(|| audit.everything())?;
    ensure!(finding.severity == Severity::Info, "{finding:?}");
    ensure!(
        trace
            .findings(&lab.lab)
            .iter()
            .all(|it| foretold(it).is_none())
    );
    Ok(())
}

#[test]
fn a5b_message_dropped_by_the_container() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.inside()?, Hook::Input)?;
    predicts(&lab.lab, HOLE, || lab.run(&UPLOAD))?;
    Ok(())
}

#[test]
fn b1_other_end_of_a_veth() -> Result<()> {
    for transfer in [DOWNLOAD, DOWNLOAD.v6()] {
        let lab = Nested {
            uplink: 1450,
            ..Nested::default()
        }
        .build()?;
        predicts(&lab.lab, HOLE, || lab.run(&transfer))?;
    }
    Ok(())
}

#[test]
fn b2b_one_segment_with_offloads() -> Result<()> {
    let lab = Nested {
        uplink: 1450,
        offloads: true,
        ..Nested::default()
    }
    .build()?;
    predicts(&lab.lab, HOLE, || lab.run(&SEGMENT))?;
    Ok(())
}

#[test]
fn b3_and_b4_four_bytes_of_slack() -> Result<()> {
    let uplink = |mtu| Nested {
        uplink: mtu,
        port: 1500,
        container: 1500,
        ..Nested::default()
    };
    let lab = uplink(1495).build()?;
    predicts(&lab.lab, HOLE, || lab.run(&DOWNLOAD))?;
    let lab = uplink(1496).build()?;
    let audit = audit::check()?;
    let (trace, outcome) = tracer::record(|| lab.run(&DOWNLOAD))?;
    ensure!(outcome.completed(), "{outcome:?}");
    let error = |recording: &Recording| {
        recording
            .findings(&lab.lab)
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    };
    ensure!(!error(&audit) && !error(&trace), "{}", audit.everything());
    Ok(())
}

#[test]
fn c1_bridge_larger_than_its_port() -> Result<()> {
    let lab = Nested {
        bridge: Some(1500),
        ..small_uplink()
    }
    .build()?;
    predicts(&lab.lab, HOLE, || lab.run(&DOWNLOAD))?;
    Ok(())
}

#[test]
fn l1_to_l4_ports_of_a_bridge() -> Result<()> {
    for (port, netfilter, transfer) in [
        (1450, false, DOWNLOAD),
        (1450, true, DOWNLOAD),
        (1450, true, DOWNLOAD.v6()),
        (1497, true, DOWNLOAD),
    ] {
        let lab = Switched {
            port,
            netfilter,
            ..Switched::default()
        }
        .build()?;
        predicts(&lab.lab, HOLE, || lab.run(&transfer))
            .with_context(|| format!("port {port}, bridge netfilter {netfilter}"))?;
    }
    Ok(())
}

#[test]
fn l5_port_within_the_slack() -> Result<()> {
    let lab = Switched {
        port: 1497,
        ..Switched::default()
    }
    .build()?;
    is_quiet(&lab.lab, || lab.run(&DOWNLOAD))?;
    Ok(())
}

#[test]
fn n2_behind_two_masquerades() -> Result<()> {
    let lab = Nested {
        masquerade: true,
        ..small_uplink()
    }
    .build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    predicts(&lab.lab, HOLE, || lab.run(&DOWNLOAD))?;
    Ok(())
}

#[test]
fn v1_and_v2_over_ipv6() -> Result<()> {
    let lab = small_uplink().build()?;
    predicts(&lab.lab, WORKING, || lab.run(&DOWNLOAD.v6()))?;
    let lab = small_uplink().build()?;
    drop_packet_too_big(lab.host()?, Hook::Output)?;
    predicts(&lab.lab, HOLE, || lab.run(&DOWNLOAD.v6()))?;
    Ok(())
}

#[test]
fn f1_to_f4_clamps() -> Result<()> {
    for blocked in [false, true] {
        let lab = small_uplink().build()?;
        clamp_to_pmtu(lab.host()?)?;
        if blocked {
            drop_frag_needed(lab.host()?, Hook::Output)?;
        }
        let audit = is_quiet(&lab.lab, || lab.run(&DOWNLOAD))?;
        let finding = audit
            .findings(&lab.lab)
            .into_iter()
            .find(|finding| finding.summary.contains("lowers the segment size"));
        ensure!(finding.is_some(), "{}", audit.everything());
    }
    Ok(())
}

#[test]
fn f2_inner_network_that_fits() -> Result<()> {
    let lab = Nested {
        container: 1450,
        ..small_uplink()
    }
    .build()?;
    is_quiet(&lab.lab, || lab.run(&DOWNLOAD))?;
    Ok(())
}
