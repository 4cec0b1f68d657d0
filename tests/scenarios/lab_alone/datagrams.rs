//! UDP that may not be fragmented meets the same faults, and nobody repeats it.

use anyhow::{Result, ensure};
use lab::address::Family;
use lab::counters::{dropped, snmp, snmp6};
use lab::firewall::{self, Hook};
use lab::topology::{Nested, NestedLab, Wired};
use lab::traffic::Direction;
use lab::udp::{self, Datagrams, Delivery, Quic};
use lab::wire::Policy;

use crate::verdict::SMALL_UPLINK;

/// All arrived.
const ALL: Delivery = Delivery {
    sent: 10,
    refused: 0,
    arrived: 10,
    repeated: 0,
};
/// All were sent and none arrived.
const NONE: Delivery = Delivery { arrived: 0, ..ALL };
const FULL: Datagrams = Datagrams::full(Family::V4);

/// Sends them from the container to the server.
fn up(lab: &NestedLab, family: Family, datagrams: &Datagrams) -> Result<Delivery> {
    let address = lab.server_address(family);
    udp::send(lab.inside()?, lab.server()?, address, datagrams)
}

#[test]
fn datagrams_that_fit_arrive() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    for (family, bytes) in [(Family::V4, 1422), (Family::V6, 1402)] {
        let delivery = up(&lab, family, &Datagrams::probing(bytes))?;
        ensure!(delivery == ALL, "{family:?}: {delivery:?}");
    }
    ensure!(snmp(lab.out()?, "Ip", "FragFails")? == 0);
    Ok(())
}

#[test]
fn a_probing_sender_ignores_what_it_is_told() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    let delivery = up(&lab, Family::V4, &FULL)?;
    ensure!(delivery == NONE, "{delivery:?}");
    ensure!(snmp(lab.out()?, "Ip", "FragFails")? == 10);
    ensure!(snmp(lab.inside()?, "Icmp", "InDestUnreachs")? >= 1);

    let delivery = up(&lab, Family::V6, &Datagrams::full(Family::V6))?;
    ensure!(delivery == NONE, "{delivery:?}");
    ensure!(snmp6(lab.out()?, "Ip6InTooBigErrors")? == 10);
    Ok(())
}

#[test]
fn a_heeding_sender_learns_and_refuses() -> Result<()> {
    for family in [Family::V4, Family::V6] {
        let lab = SMALL_UPLINK.build()?;
        let delivery = up(&lab, family, &Datagrams::full(family).heeding())?;
        // The first is lost; the ones after the ICMP are not even sent.
        ensure!(
            delivery.arrived == 0 && delivery.sent >= 1 && delivery.refused >= 5,
            "{family:?}: {delivery:?}"
        );
    }
    Ok(())
}

#[test]
fn a_heeding_sender_without_icmp_learns_nothing() -> Result<()> {
    let lab = SMALL_UPLINK.build()?;
    firewall::drop_frag_needed(lab.out()?, Hook::Output)?;
    let delivery = up(&lab, Family::V4, &FULL.heeding())?;
    ensure!(delivery == NONE, "{delivery:?}");
    ensure!(snmp(lab.out()?, "Ip", "FragFails")? == 10);
    Ok(())
}

#[test]
fn quic_opens_and_then_loses_what_is_full_size() -> Result<()> {
    for masquerade in [false, true] {
        for family in [Family::V4, Family::V6] {
            let lab = Nested {
                uplink: 1450,
                masquerade,
                ..Nested::default()
            }
            .build()?;
            let run = |datagrams: &Datagrams| {
                let address = lab.server_address(family);
                let direction = Direction::Download;
                udp::quic(lab.inside()?, lab.server()?, address, direction, datagrams)
            };
            let outcome = run(&Datagrams::full(family))?;
            let expected = Quic {
                handshake: true,
                data: NONE,
            };
            ensure!(outcome == expected, "{family:?}: {outcome:?}");
            // The veth is silent, so nobody learns anything.
            ensure!(dropped(lab.host()?, NestedLab::OUTER_PORT)?.tx == 10);
            ensure!(snmp(lab.server()?, "Icmp", "InDestUnreachs")? == 0);
            let small = run(&Datagrams::probing(1200))?;
            ensure!(small.data == ALL, "{family:?}: {small:?}");
        }
    }
    Ok(())
}

#[test]
fn quic_over_an_opaque_wire() -> Result<()> {
    let lab = Wired {
        policy: Policy::Limit(1400),
        ..Wired::default()
    }
    .build()?;
    let address = lab.server_address(Family::V4);
    let run = || {
        let direction = Direction::Upload;
        udp::quic(lab.client()?, lab.server()?, address, direction, &FULL)
    };
    let outcome = run()?;
    ensure!(outcome.handshake && outcome.data == NONE, "{outcome:?}");
    ensure!(lab.wire.discarded() == 10);
    lab.wire.set(Policy::Limit(1199));
    let outcome = run()?;
    ensure!(!outcome.handshake, "{outcome:?}");
    lab.wire.set(Policy::Duplicate);
    let outcome = run()?;
    let twice = Delivery {
        repeated: 10,
        ..ALL
    };
    ensure!(outcome.data == twice, "{outcome:?}");
    Ok(())
}

#[test]
fn a_receive_buffer_overflows() -> Result<()> {
    let lab = Nested::default().build()?;
    let address = lab.server_address(Family::V4);
    let datagrams = Datagrams {
        count: 50,
        ..Datagrams::probing(1000)
    };
    let unread = udp::overflow(lab.inside()?, lab.server()?, address, &datagrams)?;
    let lost = snmp(lab.server()?, "Udp", "RcvbufErrors")?;
    ensure!(unread.sent == 50 && (40..50).contains(&lost), "{lost} lost");
    Ok(())
}
