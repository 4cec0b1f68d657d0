//! The rows of the table of known answers: what the traffic does and what the kernel counts.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{
    address::{Family, INNER, OUTER},
    counters::{dropped, snmp, snmp6},
    firewall::{self, Hook},
    link, nat,
    topology::{Nested, NestedLab, Switched, SwitchedLab},
    traffic::{self, Transfer},
};

use crate::verdict::{SMALL_UPLINK, at_least_three, completes, hangs};

/// The payload of one full-size segment on an MTU of 1500, with TCP timestamps.
const ONE_SEGMENT: usize = 1448;
const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);

#[test]
fn equal_mtus_pass_everything() -> Result<()> {
    let lab = Nested {
        offloads: true,
        ..Nested::default()
    }
    .build()?;
    for transfer in [
        Transfer::download(5_000_000),
        Transfer::upload(5_000_000),
        DOWNLOAD.v6(),
    ] {
        completes(&lab.run(&transfer)?)?;
    }
    ensure!(snmp(lab.host()?, "Ip", "FragFails")? == 0);
    Ok(())
}

#[test]
fn paced_segments_arrive_one_by_one() -> Result<()> {
    let lab = Nested::default().build()?;
    completes(&lab.run(&Transfer::download(10 * ONE_SEGMENT).paced(ONE_SEGMENT))?)?;
    // Ten segments, the answer to the SYN, and acknowledgements; a single write would need no more
    // than the ten, so pacing shows in the answers of the client.
    ensure!(snmp(lab.inside()?, "Tcp", "OutSegs")? >= 12);
    Ok(())
}

#[test]
fn a1_discovery_works() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    completes(&lab.run(&DOWNLOAD)?)?;
    ensure!(snmp(lab.host()?, "Ip", "FragFails")? >= 1);
    ensure!(snmp(lab.server()?, "Icmp", "InDestUnreachs")? >= 1);
    Ok(())
}

#[test]
fn a2_filtered_at_the_forwarder() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    at_least_three("FragFails of host", snmp(lab.host()?, "Ip", "FragFails")?)?;
    at_least_three(
        "dropped ICMP",
        firewall::dropped(lab.host()?, firewall::FRAG_NEEDED)?,
    )?;
    ensure!(snmp(lab.server()?, "Icmp", "InDestUnreachs")? == 0);
    Ok(())
}

#[test]
fn a2b_filtered_at_the_server() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.server()?, Hook::Input)?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    at_least_three("FragFails of host", snmp(lab.host()?, "Ip", "FragFails")?)?;
    at_least_three(
        "dropped ICMP",
        firewall::dropped(lab.server()?, firewall::FRAG_NEEDED)?,
    )
}

#[test]
fn a5_upload_discovery_works() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    completes(&lab.run(&UPLOAD)?)?;
    ensure!(snmp(lab.out()?, "Ip", "FragFails")? >= 1);
    ensure!(snmp(lab.inside()?, "Icmp", "InDestUnreachs")? >= 1);
    Ok(())
}

#[test]
fn a5b_upload_filtered_in_the_container() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.inside()?, Hook::Input)?;
    hangs(&lab.run(&UPLOAD)?)?;
    at_least_three("FragFails of out", snmp(lab.out()?, "Ip", "FragFails")?)?;
    at_least_three(
        "dropped ICMP",
        firewall::dropped(lab.inside()?, firewall::FRAG_NEEDED)?,
    )
}

#[test]
fn b1_veth_is_silent() -> Result<()> {
    let lab = Nested {
        uplink: 1450,
        ..Nested::default()
    }
    .build()?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    at_least_three(
        "tx_dropped",
        dropped(lab.host()?, NestedLab::OUTER_PORT)?.tx,
    )?;
    at_least_three("rx_dropped", dropped(lab.out()?, NestedLab::UPLINK)?.rx)?;
    ensure!(snmp(lab.host()?, "Icmp", "OutDestUnreachs")? == 0);
    Ok(())
}

#[test]
fn b2_segmentation_offload_hides_all_but_a_single_segment() -> Result<()> {
    let lab = Nested {
        uplink: 1450,
        offloads: true,
        ..Nested::default()
    }
    .build()?;
    // Two segments at a time are never sent one by one, whatever the congestion window.
    completes(&lab.run(&Transfer::download(20 * ONE_SEGMENT).paced(2 * ONE_SEGMENT))?)?;
    hangs(&lab.run(&Transfer::download(ONE_SEGMENT))?)
}

/// What a receiver's interface has put together passes, though it came segment by segment.
#[test]
fn g1_g2_receive_offload_hides_it_too() -> Result<()> {
    for merged in [true, false] {
        let lab = Nested {
            uplink: 1450,
            offloads: true,
            ..Nested::default()
        }
        .build()?;
        link::set_segmentation(lab.server()?, NestedLab::SERVER, false)?;
        link::set_merging(lab.host()?, NestedLab::EXTERNAL, merged)?;
        // Few at a time: a queue that overflows would leave one to be sent again by itself.
        let burst = 20 * ONE_SEGMENT;
        let outcome = lab.run(&Transfer::download(50 * burst).paced(burst))?;
        if merged {
            completes(&outcome)?;
        } else {
            hangs(&outcome)?;
        }
    }
    Ok(())
}

#[test]
fn b3_b4_veth_has_a_slack_of_four_bytes() -> Result<()> {
    completes(
        &Nested {
            uplink: 1496,
            ..Nested::default()
        }
        .build()?
        .run(&DOWNLOAD)?,
    )?;
    hangs(
        &Nested {
            uplink: 1495,
            ..Nested::default()
        }
        .build()?
        .run(&DOWNLOAD)?,
    )
}

#[test]
fn c1_bridge_port_counts_nothing() -> Result<()> {
    let lab = Nested {
        bridge: Some(1500),
        ..SMALL_UPLINK
    }
    .build()?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    at_least_three(
        "retransmissions",
        snmp(lab.server()?, "Tcp", "RetransSegs")?,
    )?;
    ensure!(snmp(lab.host()?, "Ip", "FragFails")? == 0);
    for name in [
        NestedLab::OUTER_PORT,
        NestedLab::OUTER_BRIDGE,
        NestedLab::EXTERNAL,
    ] {
        let count = dropped(lab.host()?, name)?;
        ensure!(count == Default::default(), "{name}: {count:?}");
    }
    Ok(())
}

#[test]
fn l1_switch_counts_nothing() -> Result<()> {
    let lab = Switched {
        port: 1450,
        ..Switched::default()
    }
    .build()?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    at_least_three(
        "retransmissions",
        snmp(lab.server()?, "Tcp", "RetransSegs")?,
    )?;
    ensure!(dropped(lab.switch()?, SwitchedLab::CLIENT_PORT)? == Default::default());
    Ok(())
}

#[test]
fn l2_l3_bridge_netfilter_counts_failed_fragments() -> Result<()> {
    let lab = Switched {
        port: 1450,
        netfilter: true,
        ..Switched::default()
    }
    .build()?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    at_least_three("FragFails", snmp(lab.switch()?, "Ip", "FragFails")?)?;
    hangs(&lab.run(&DOWNLOAD.v6())?)?;
    at_least_three("Ip6FragFails", snmp6(lab.switch()?, "Ip6FragFails")?)
}

/// `ip6_fragment` goes by the bridge's MTU and the port by its own: between the two, packets are
/// fragmented and the fragments dropped.
#[test]
fn l3_forced_bridge_mtu_loses_the_fragments() -> Result<()> {
    let lab = Switched {
        port: 1450,
        bridge: Some(1500),
        netfilter: true,
        ..Switched::default()
    };
    let lab = lab.build()?;
    hangs(&lab.run(&DOWNLOAD.v6())?)?;
    ensure!(snmp6(lab.switch()?, "Ip6FragFails")? == 0);
    at_least_three("Ip6FragCreates", snmp6(lab.switch()?, "Ip6FragCreates")?)
}

#[test]
fn l4_l5_only_bridge_netfilter_has_no_slack() -> Result<()> {
    hangs(
        &Switched {
            port: 1497,
            netfilter: true,
            ..Switched::default()
        }
        .build()?
        .run(&DOWNLOAD)?,
    )?;
    completes(
        &Switched {
            port: 1497,
            ..Switched::default()
        }
        .build()?
        .run(&DOWNLOAD)?,
    )
}

#[test]
fn n1_n2_double_masquerade() -> Result<()> {
    let lab = Nested {
        masquerade: true,
        ..SMALL_UPLINK
    }
    .build()?;
    completes(&lab.run(&DOWNLOAD)?)?;

    let lab = Nested {
        masquerade: true,
        ..SMALL_UPLINK
    }
    .build()?;
    firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
    hangs(&lab.run(&DOWNLOAD)?)?;
    at_least_three("FragFails of host", snmp(lab.host()?, "Ip", "FragFails")?)
}

#[test]
fn v1_v2_ipv6_discovery() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    completes(&lab.run(&DOWNLOAD.v6())?)?;

    let lab = SMALL_UPLINK.build()?;
    firewall::drop_packet_too_big(lab.server()?, Hook::Input)?;
    hangs(&lab.run(&DOWNLOAD.v6())?)?;
    at_least_three(
        "Ip6InTooBigErrors",
        snmp6(lab.host()?, "Ip6InTooBigErrors")?,
    )?;
    at_least_three(
        "dropped ICMP",
        firewall::dropped(lab.server()?, firewall::PACKET_TOO_BIG)?,
    )
}

#[test]
fn published_port_reaches_the_container() -> Result<()> {
    let lab = Nested::default().build()?;
    let published = SocketAddr::new(OUTER.host(2, Family::V4), 8443);
    let target = SocketAddr::new(INNER.host(2, Family::V4), 8080);
    nat::publish(lab.out()?, published, target)?;
    let _listener = traffic::listen(lab.inside()?, target)?;
    traffic::connect(lab.host()?, published, Duration::from_secs(2))?.context("connecting")?;
    Ok(())
}

#[test]
fn dead_address_does_not_answer() -> Result<()> {
    let lab = Nested::default().build()?;
    let dead = SocketAddr::new(lab.dead_address()?, 8080);
    let start = std::time::Instant::now();
    let answer = traffic::connect(lab.inside()?, dead, Duration::from_millis(1500))?;
    ensure!(answer.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut));
    ensure!(
        start.elapsed() >= Duration::from_millis(1400),
        "something refused the connection"
    );
    Ok(())
}

#[test]
fn random_loss_slows_but_completes() -> Result<()> {
    let lab = Nested::default().build()?;
    firewall::lose(lab.host()?, Hook::Forward, 5)?;
    completes(&lab.run(&Transfer::download(1_000_000).within(Duration::from_secs(15)))?)?;
    ensure!(firewall::dropped(lab.host()?, firewall::LOSS)? >= 5);

    let lab = Nested::default().build()?;
    firewall::lose_on_arrival(lab.out()?, NestedLab::UPLINK, 5)?;
    completes(&lab.run(&Transfer::download(1_000_000).within(Duration::from_secs(15)))?)?;
    ensure!(firewall::dropped(lab.out()?, firewall::LOSS)? >= 5);
    Ok(())
}

#[test]
fn mtu_can_change_under_traffic() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
    link::set_mtu(lab.out()?, NestedLab::UPLINK, 1500)?;
    link::set_mtu(lab.host()?, NestedLab::OUTER_PORT, 1500)?;
    completes(&lab.run(&DOWNLOAD)?)
}
