//! Faults that have nothing to do with an MTU, and datagrams.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use lab::{
    address::Family,
    firewall::{self, Hook},
    link,
    queue::{self, Bucket},
    topology::{Nested, NestedLab},
    traffic::{self, Direction, Transfer},
    udp::{self, Datagrams},
    unread::Unread,
};

use super::{DOWNLOAD, SMALL_UPLINK, UPLOAD, act, completes, finds, hangs, scenario};
use crate::scenario::{Act, Expect, Place, Scenario, Want};

const LOSSY: Transfer = Transfer::download(1_000_000).within(Duration::from_secs(25));

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "O1",
        "equal MTUs, bulk with offloads",
        Expect::Nothing,
        || {
            let lab = Nested {
                offloads: true,
                ..Nested::default()
            };
            completes(lab.build()?, Transfer::download(20_000_000))
        },
    ),
    scenario(
        "O2",
        "a forwarder loses 5 % of packets",
        finds(Want::new("local-drop", "warning")),
        || {
            let lab = Nested::default().build()?;
            firewall::lose(lab.host()?, Hook::Forward, 5)?;
            completes(lab, LOSSY)
        },
    ),
    scenario(
        "O2b",
        "a forwarder loses 1 % of packets",
        finds(Want::new("local-drop", "warning")),
        || {
            let lab = Nested::default().build()?;
            firewall::lose(lab.host()?, Hook::Forward, 1)?;
            completes(
                lab,
                Transfer {
                    bytes: 3_000_000,
                    ..LOSSY
                },
            )
        },
    ),
    scenario(
        "O2c",
        "a forwarder loses 20 % of packets",
        // At the trace's end the last acknowledgement may have been lost for the third time: that is a
        // stall, although all has arrived.
        finds(Want::new("local-drop", "warning|error")),
        || {
            let lab = Nested::default().build()?;
            firewall::lose(lab.host()?, Hook::Forward, 20)?;
            completes(
                lab,
                Transfer::download(100_000).within(Duration::from_secs(40)),
            )
        },
    ),
    scenario(
        "O3",
        "a port that is closed later",
        finds(Want::new("local-drop", "error").direction("upload")),
        || {
            let lab = Nested::default().build()?;
            let outcome = lab.run(&UPLOAD)?;
            ensure!(outcome.completed(), "should complete: {outcome:?}");
            firewall::drop_port(lab.host()?, Hook::Forward, UPLOAD.port)?;
            let outcome = traffic::push(outcome.connection, &UPLOAD)?;
            ensure!(outcome.hung(), "should hang: {outcome:?}");
            Ok(act(lab, UPLOAD, vec![Box::new(outcome)]))
        },
    ),
    scenario(
        "O4",
        "a firewall that drops what is long",
        finds(Want::new("local-drop", "error").direction("download")),
        || {
            let lab = Nested::default().build()?;
            firewall::drop_longer(lab.host()?, Hook::Forward, 1400)?;
            hangs(lab, DOWNLOAD)
        },
    ),
    scenario(
        "O5",
        "a queue that is too short",
        finds(Want::new("local-drop", "warning")),
        || {
            let lab = Nested::default().build()?;
            queue::narrow(lab.host()?, NestedLab::EXTERNAL, Bucket::default())?;
            completes(
                lab,
                Transfer::upload(300_000).within(Duration::from_secs(20)),
            )
        },
    ),
    scenario(
        "O6",
        "a receiver that does not read",
        finds(Want::new("receiver-stalled", "info").direction("download")),
        unread,
    ),
    scenario(
        "O7",
        "a server that dies after the handshake",
        Expect::Nothing,
        || {
            let lab = Nested::default().build()?;
            let transfer = Transfer::upload(100);
            let wire = lab.opaque_wire(lab::wire::Policy::Pass)?;
            let connection = lab.open(&transfer)?;
            wire.set(lab::wire::Policy::Dead);
            let outcome = traffic::push(connection, &transfer)?;
            ensure!(outcome.hung(), "should hang: {outcome:?}");
            Ok(act(lab, transfer, vec![Box::new(outcome), Box::new(wire)]))
        },
    ),
    scenario(
        "O8",
        "the first data is answered with a reset",
        Expect::Nothing,
        || {
            let lab = Nested::default().build()?;
            let outcome = traffic::refuse(lab.open(&DOWNLOAD)?, &DOWNLOAD)?;
            Ok(act(lab, DOWNLOAD, vec![Box::new(outcome)]))
        },
    ),
    scenario(
        "O9",
        "nobody answers a SYN",
        finds(Want::new("handshake-timeout", "warning")),
        || {
            let lab = Nested::default().build()?;
            let dead = SocketAddr::new(lab.dead_address()?, 8080);
            let answer = traffic::connect(lab.inside()?, dead, Duration::from_millis(3500))?;
            ensure!(answer.is_err(), "something answered");
            Ok(act(lab, DOWNLOAD, Vec::new()))
        },
    ),
    scenario("O10", "connections that are idle", Expect::Nothing, || {
        let lab = Nested::default().build()?;
        let outcome = lab.run(&DOWNLOAD)?;
        ensure!(outcome.completed(), "should complete: {outcome:?}");
        let idle = lab.open(&Transfer {
            port: 9090,
            ..DOWNLOAD
        })?;
        Ok(act(lab, DOWNLOAD, vec![Box::new(outcome), Box::new(idle)]))
    }),
    scenario(
        "T1",
        "datagrams with DF into a small veth",
        datagrams("__dev_forward_skb2", NestedLab::OUTER_PORT),
        || {
            let lab = Nested {
                uplink: 1450,
                ..Nested::default()
            };
            flood(lab.build()?)
        },
    ),
    scenario(
        "T2",
        "a QUIC-like download into a small uplink, unheard",
        datagrams("ip_forward", NestedLab::OUTER_BRIDGE),
        || {
            let lab = SMALL_UPLINK.build()?;
            firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
            let address = lab.server_address(Family::V4);
            let spaced = Datagrams {
                interval: Duration::from_millis(100),
                ..Datagrams::full(Family::V4)
            };
            let quic = udp::quic(
                lab.inside()?,
                lab.server()?,
                address,
                Direction::Download,
                &spaced,
            )?;
            ensure!(quic.handshake && quic.data.arrived == 0, "{quic:?}");
            Ok(act(lab, DOWNLOAD, Vec::new()))
        },
    ),
];

const fn datagrams(function: &'static str, egress: &'static str) -> Expect {
    finds(Want {
        protocol: "udp",
        place: Some(Place {
            role: "host",
            egress,
            function,
            limit_bytes: 1450,
            packet_bytes: 1500,
        }),
        ..Want::new("mtu-black-hole", "error")
    })
}

fn flood(lab: NestedLab) -> Result<Act> {
    let spaced = Datagrams {
        interval: Duration::from_millis(100),
        ..Datagrams::full(Family::V4)
    };
    // From the server, so that they meet the veth on their way in.
    let inside = lab::address::INNER.host(2, Family::V4);
    let delivery = udp::send(lab.server()?, lab.inside()?, inside, &spaced)?;
    ensure!(delivery.arrived == 0, "{delivery:?}");
    Ok(act(lab, DOWNLOAD, Vec::new()))
}

fn unread() -> Result<Act> {
    let lab = Nested::default().build()?;
    let transfer = Transfer::download(0).within(Duration::from_secs(5));
    let address = lab.server_address(Family::V4);
    let mut unread = Unread::fill(lab.inside()?, lab.server()?, address, &transfer)?;
    // It stays so for a while, and is read in the end.
    std::thread::park_timeout(Duration::from_secs(4));
    unread.connection.near.set_nonblocking(true)?;
    link::set_mtu(lab.out()?, NestedLab::UPLINK, 1500)?;
    let _ = &mut unread;
    Ok(act(lab, DOWNLOAD, vec![Box::new(unread)]))
}
