//! Packets that are too big for where a forwarder sends them: the kernel makes an ICMP, and what
//! becomes of it decides.

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use lab::{
    counters::snmp,
    expect::{Expected, Signal, Site},
    firewall::{Hook, drop_frag_needed},
    topology::NestedLab,
    tracer::Tracer,
    traffic::{Direction, Outcome},
};

use crate::{DOWNLOAD, UPLOAD, small_uplink, traced};

fn download<'a>(
    lab: &'a NestedLab,
    outcome: &'a Outcome,
    signal: Signal<'a>,
) -> Result<Expected<'a>> {
    Ok(Expected {
        client: lab.inside()?,
        outcome,
        direction: Direction::Download,
        site: Site {
            netns: lab.host()?,
            ingress: Some(NestedLab::EXTERNAL),
            egress: NestedLab::OUTER_BRIDGE,
            function: "ip_forward",
            limit_bytes: 1450,
        },
        signal,
    })
}

fn upload<'a>(
    lab: &'a NestedLab,
    outcome: &'a Outcome,
    signal: Signal<'a>,
) -> Result<Expected<'a>> {
    Ok(Expected {
        client: lab.inside()?,
        outcome,
        direction: Direction::Upload,
        site: Site {
            netns: lab.out()?,
            ingress: Some(NestedLab::INNER_BRIDGE),
            egress: NestedLab::UPLINK,
            function: "ip_forward",
            limit_bytes: 1450,
        },
        signal,
    })
}

#[test]
fn a1_download_discovers_the_mtu() -> Result<()> {
    let lab = small_uplink().build()?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    download(&lab, &outcome, Signal::Delivered)?.pmtud_working(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn a2_download_with_the_icmp_dropped_by_the_forwarder() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    let signal = Signal::BlockedAt(lab.host()?, Hook::Output);
    let finding = download(&lab, &outcome, signal)?.black_hole(&lab.lab, &recording)?;
    let says_1450 = |text: &String| text.contains("1450");
    let fixed = finding
        .fixes
        .iter()
        .any(|fix| says_1450(&fix.detail) || fix.commands.iter().any(says_1450));
    ensure!(fixed, "no fix names the MTU\n{}", recording.everything());
    Ok(())
}

#[test]
fn a2_verdict_stands_within_two_seconds() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    let signal = Signal::BlockedAt(lab.host()?, Hook::Output);
    let finding = download(&lab, &outcome, signal)?.black_hole(&lab.lab, &recording)?;
    let took = finding.detected_at.duration_since(finding.first_seen);
    ensure!(
        took >= SignedDuration::ZERO && took <= SignedDuration::from_secs(2),
        "the verdict took {took:?}\n{}",
        recording.everything()
    );
    ensure!(
        finding.first_seen >= recording.report.capture.started
            && finding.first_seen <= finding.last_seen,
        "the times are out of order\n{}",
        recording.everything()
    );
    Ok(())
}

#[test]
fn a2_counts_every_drop_as_the_kernel_does() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let tracer = Tracer::start(&[])?;
    let outcome = lab.run(&DOWNLOAD)?;
    // A retransmission may fall between a counter and the report, so there are two bounds.
    let before = snmp(lab.host()?, "Ip", "FragFails")?;
    let recording = tracer.stop()?;
    let after = snmp(lab.host()?, "Ip", "FragFails")?;
    let signal = Signal::BlockedAt(lab.host()?, Hook::Output);
    let finding = download(&lab, &outcome, signal)?.black_hole(&lab.lab, &recording)?;
    let counted = finding.evidence.oversized_drops;
    ensure!(
        (before..=after).contains(&counted),
        "{counted} drops, but the kernel counts {before} to {after}\n{}",
        recording.everything()
    );
    Ok(())
}

#[test]
fn a2b_download_with_the_icmp_dropped_by_the_server() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.server()?, Hook::Input)?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    let signal = Signal::BlockedAt(lab.server()?, Hook::Input);
    download(&lab, &outcome, signal)?.black_hole(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn a5_upload_discovers_the_mtu() -> Result<()> {
    let lab = small_uplink().build()?;
    let (recording, outcome) = traced(&lab, &UPLOAD)?;
    upload(&lab, &outcome, Signal::Delivered)?.pmtud_working(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn a5b_upload_with_the_icmp_dropped_by_the_container() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.inside()?, Hook::Input)?;
    let (recording, outcome) = traced(&lab, &UPLOAD)?;
    let signal = Signal::BlockedAt(lab.inside()?, Hook::Input);
    upload(&lab, &outcome, signal)?.black_hole(&lab.lab, &recording)?;
    Ok(())
}

#[test]
fn path_names_the_interfaces_on_the_way() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let (recording, outcome) = traced(&lab, &DOWNLOAD)?;
    let signal = Signal::BlockedAt(lab.host()?, Hook::Output);
    let finding = download(&lab, &outcome, signal)?.black_hole(&lab.lab, &recording)?;
    let hop = finding
        .path
        .iter()
        .find(|hop| hop.interface == NestedLab::OUTER_BRIDGE)
        .with_context(|| format!("no bridge on the path\n{}", recording.everything()))?;
    ensure!(hop.mtu_bytes == 1450 && hop.kind == "bridge", "{hop:?}");
    Ok(())
}
