//! Settings that make a small uplink harmless or harmful.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::address::{Family, INNER};
use lab::clamp::clamp_to_pmtu;
use lab::connection::Connection;
use lab::counters::{snmp, snmp6};
use lab::firewall::{self, Hook};
use lab::settings::{self, Probing};
use lab::topology::{Nested, NestedLab};
use lab::traffic::{self, Outcome, Transfer};

use crate::verdict::{SMALL_UPLINK, at_least_three, at_once, completes, hangs};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);
/// What the client's packets carry in addition, bytes.
const OPTIONS: usize = 64;

/// A small uplink whose router may tell nobody.
fn silent() -> Result<NestedLab> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
    firewall::drop_packet_too_big(lab.host()?, Hook::Output)?;
    Ok(lab)
}

/// Every mode but 0 sends without DF, so the router fragments.
#[test]
fn no_discovery_means_fragments() -> Result<()> {
    at_once(1..=3, |mode| {
        let lab = silent()?;
        settings::no_discovery(lab.server()?, mode)?;
        completes(&lab.run(&DOWNLOAD)?)?;
        ensure!(snmp(lab.host()?, "Ip", "FragFails")? == 0);
        ensure!(snmp(lab.host()?, "Ip", "FragCreates")? >= 26);
        // IPv6 has no such setting.
        hangs(&lab.run(&DOWNLOAD.v6())?)
    })
}

#[test]
fn a_small_locked_mtu_fits() -> Result<()> {
    let lab = silent()?;
    for family in [Family::V4, Family::V6] {
        settings::lock_mtu(lab.server()?, INNER.host(2, family), 1450)?;
        completes(&lab.run(&Transfer { family, ..DOWNLOAD })?)?;
    }
    ensure!(snmp(lab.host()?, "Ip", "FragCreates")? == 0);
    ensure!(snmp6(lab.host()?, "Ip6InTooBigErrors")? == 0);
    Ok(())
}

/// IPv6 learns the path MTU even over a locked one.
#[test]
fn a_locked_mtu_does_not_hold_ipv6() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    settings::lock_mtu(lab.server()?, INNER.host(2, Family::V6), 1500)?;
    completes(&lab.run(&DOWNLOAD.v6())?)?;
    ensure!(snmp6(lab.host()?, "Ip6InTooBigErrors")? >= 1);
    Ok(())
}

#[test]
fn a_rate_limit_silences_ipv6_only() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    settings::limit_icmp(lab.host()?)?;
    hangs(&lab.run(&DOWNLOAD.v6())?)?;
    at_least_three("too big", snmp6(lab.host()?, "Ip6InTooBigErrors")?)?;
    ensure!(snmp6(lab.host()?, "Icmp6OutPktTooBigs")? == 0);
    ensure!(snmp6(lab.server()?, "Icmp6InPktTooBigs")? == 0);

    completes(&lab.run(&DOWNLOAD)?)?;
    ensure!(snmp(lab.server()?, "Icmp", "InDestUnreachs")? >= 1);
    Ok(())
}

#[test]
fn probing_finds_a_size_that_passes() -> Result<()> {
    let cases = [DOWNLOAD, DOWNLOAD.v6()]
        .into_iter()
        .flat_map(|transfer| [Probing::OnSuspicion, Probing::Always].map(|it| (transfer, it)));
    at_once(cases, |(transfer, probing)| {
        let lab = silent()?;
        settings::probe_mtu(lab.server()?, probing)?;
        let outcome = lab.run(&transfer.within(Duration::from_secs(20)))?;
        completes(&outcome)?;
        ensure!(outcome.elapsed >= Duration::from_secs(3), "{outcome:?}");
        Ok(())
    })?;
    let lab = silent()?;
    settings::probe_mtu(lab.server()?, Probing::Off)?;
    hangs(&lab.run(&DOWNLOAD)?)
}

/// Whoever opens the connection begins small when it always probes, and never waits.
#[test]
fn a_client_that_always_probes_begins_small() -> Result<()> {
    let cases = [UPLOAD, UPLOAD.v6()].into_iter().flat_map(|transfer| {
        [(Probing::OnSuspicion, true), (Probing::Always, false)]
            .map(|(probing, waits)| (transfer, probing, waits))
    });
    at_once(cases, |(transfer, probing, waits)| {
        let lab = SMALL_UPLINK.build()?;
        firewall::drop_frag_needed(lab.out()?, Hook::Output)?;
        firewall::drop_packet_too_big(lab.out()?, Hook::Output)?;
        settings::probe_mtu(lab.inside()?, probing)?;
        let outcome = lab.run(&transfer.within(Duration::from_secs(20)))?;
        completes(&outcome)?;
        let waited = outcome.elapsed >= Duration::from_secs(3);
        ensure!(waited == waits, "{probing:?}: {outcome:?}");
        Ok(())
    })
}

/// Makes an upload with destination options on all that the client sends after the handshake.
fn with_options(lab: &NestedLab) -> Result<Outcome> {
    lab.out()?.nft(
        "table inet lab-options {
            chain forward {
                type filter hook forward priority filter
                exthdr dst exists counter
            }
        }",
    )?;
    let transfer = UPLOAD.v6();
    let connection = lab.open(&transfer)?;
    settings::add_destination_options(&connection.near, OPTIONS)?;
    traffic::carry(connection, &transfer)
}

#[test]
fn destination_options_take_room() -> Result<()> {
    // The request and the segments, which are smaller by the options: no packet is above 1500.
    let lab = Nested::default().build()?;
    completes(&with_options(&lab)?)?;
    let options = firewall::dropped(lab.out()?, "lab-options")?;
    ensure!(options >= 15, "{options} packets with options");
    ensure!(snmp6(lab.inside()?, "Icmp6InPktTooBigs")? == 0);

    // Discovery and clamping reckon with them.
    let lab = SMALL_UPLINK.build()?;
    completes(&with_options(&lab)?)?;
    ensure!(snmp6(lab.inside()?, "Icmp6InPktTooBigs")? >= 1);

    let lab = SMALL_UPLINK.build()?;
    firewall::drop_packet_too_big(lab.out()?, Hook::Output)?;
    hangs(&with_options(&lab)?)?;
    at_least_three("too big", snmp6(lab.out()?, "Ip6InTooBigErrors")?)?;

    let lab = SMALL_UPLINK.build()?;
    firewall::drop_packet_too_big(lab.out()?, Hook::Output)?;
    clamp_to_pmtu(lab.out()?)?;
    completes(&with_options(&lab)?)?;
    ensure!(snmp6(lab.out()?, "Ip6InTooBigErrors")? == 0);
    Ok(())
}

#[test]
fn a_listening_socket_hands_its_options_on() -> Result<()> {
    let lab = Nested::default().build()?;
    let transfer = DOWNLOAD.v6();
    let server = SocketAddr::new(lab.server_address(Family::V6), transfer.port);
    let listener = traffic::listen(lab.server()?, server)?;
    settings::add_destination_options(&listener, OPTIONS)?;
    let near = traffic::connect(lab.inside()?, server, transfer.limit)??;
    let (far, client) = listener.accept()?;
    let connection = Connection {
        near,
        far,
        client,
        server,
    };
    completes(&traffic::carry(connection, &transfer)?)?;
    // What was longer than the server's own interface would have come back to it.
    ensure!(snmp6(lab.server()?, "Icmp6InPktTooBigs")? == 0);
    Ok(())
}
