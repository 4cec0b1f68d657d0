//! Faults that have nothing to do with an MTU, and datagrams.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::address::Family;
use lab::firewall::{self, Hook};
use lab::queue::{self, Bucket};
use lab::topology::{Nested, NestedLab};
use lab::traffic::{Direction, Transfer, connect, push, refuse};
use lab::udp::{self, Datagrams};
use lab::unread::Unread;
use lab::wire::Policy;

use super::{
    DOWNLOAD, SMALL_UPLINK, UPLOAD, act, completed, completes, finds, hangs, hung, once, scenario,
    traffic,
};
use crate::count::{Counter, at_least};
use crate::scenario::{DropPlace, Expect, Place, Scenario, Traffic, Want};

const LOST: Counter = Counter::Filtered(firewall::LOSS);
const LOSSY: Transfer = Transfer::download(1_000_000).within(Duration::from_secs(25));

/// The forwarder that loses some of what it should send on.
const LOSING: DropPlace = DropPlace::by_rule(
    "host",
    "FORWARD",
    "table inet lab-loss, chain forward, handle ",
);

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "O1",
        "equal MTUs, bulk both ways with offloads",
        Expect::Nothing,
        || {
            let lab = Nested {
                offloads: true,
                ..Nested::default()
            };
            let lab = lab.build()?;
            traffic(move || {
                let bulk = Transfer::download(20_000_000);
                let upload = Transfer {
                    port: bulk.port + 1,
                    ..Transfer::upload(bulk.bytes)
                };
                let upload = lab.run(&upload)?;
                ensure!(upload.completed(), "should complete: {upload:?}");
                let outcome = lab.run(&bulk)?;
                Ok(completed(lab, bulk, outcome)?.keeping(upload))
            })
        },
    ),
    scenario(
        "O2",
        "a forwarder loses 5 % of packets",
        finds(Want::new("local-drop", "warning").dropped(LOSING)),
        || {
            let lab = Nested::default().build()?;
            firewall::lose(lab.host()?, Hook::Forward, 5)?;
            completes(lab, LOSSY)
        },
    )
    .counts(&[at_least(5, LOST, "host")]),
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
        "O2d",
        "5 % of packets are lost on arrival",
        finds(
            Want::new("local-drop", "warning").dropped(DropPlace::by_rule(
                "out",
                "ingress",
                "table netdev lab-loss, chain arrival, handle ",
            )),
        ),
        || {
            let lab = Nested::default().build()?;
            firewall::lose_on_arrival(lab.out()?, NestedLab::UPLINK, 5)?;
            completes(lab, LOSSY)
        },
    )
    .counts(&[at_least(5, LOST, "out")]),
    scenario(
        "O3",
        "a port that is closed later",
        finds(
            Want::new("local-drop", "error")
                .direction("upload")
                .dropped(DropPlace::by_rule(
                    "host",
                    "FORWARD",
                    "table inet lab-port, chain forward, handle ",
                )),
        ),
        || {
            let lab = Nested::default().build()?;
            traffic(move || {
                let outcome = lab.run(&UPLOAD)?;
                ensure!(outcome.completed(), "should complete: {outcome:?}");
                firewall::drop_port(lab.host()?, Hook::Forward, UPLOAD.port)?;
                hung(lab, UPLOAD, push(outcome.connection, &UPLOAD)?)
            })
        },
    )
    .counts(&[at_least(3, Counter::Filtered(firewall::PORT), "host")]),
    scenario(
        "O4",
        "a firewall that drops what is long",
        finds(
            Want::new("local-drop", "error")
                .direction("download")
                .dropped(DropPlace::by_rule(
                    "host",
                    "FORWARD",
                    "table inet lab-length, chain forward, handle ",
                )),
        ),
        || {
            let lab = Nested::default().build()?;
            firewall::drop_longer(lab.host()?, Hook::Forward, 1400)?;
            hangs(lab, DOWNLOAD)
        },
    ),
    scenario(
        "O5",
        "a queue that is too short",
        finds(
            Want::new("local-drop", "warning").dropped(DropPlace::for_reason("host", "QDISC_DROP")),
        ),
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
            let wire = lab.opaque_wire(Policy::Pass)?;
            traffic(move || {
                let connection = lab.open(&transfer)?;
                wire.set(Policy::Dead);
                let outcome = push(connection, &transfer)?;
                Ok(hung(lab, transfer, outcome)?.keeping(wire))
            })
        },
    ),
    scenario(
        "O8",
        "the first data is answered with a reset",
        Expect::Nothing,
        || {
            let lab = Nested::default().build()?;
            traffic(move || {
                let outcome = refuse(lab.open(&DOWNLOAD)?, &DOWNLOAD)?;
                Ok(act(lab, DOWNLOAD, outcome))
            })
        },
    ),
    scenario(
        "O9",
        "nobody answers a SYN",
        finds(Want {
            // Beside the server.
            remote: Some("203.0.113.11"),
            ..Want::new("handshake-timeout", "warning")
        }),
        || {
            let lab = Nested::default().build()?;
            let dead = SocketAddr::new(lab.dead_address()?, 8080);
            traffic(move || {
                let answer = connect(lab.inside()?, dead, Duration::from_millis(3500))?;
                let timed_out = answer.is_err_and(|it| it.kind() == ErrorKind::TimedOut);
                ensure!(timed_out, "something answered");
                Ok(once(lab, Vec::new()))
            })
        },
    ),
    scenario("O10", "connections that are idle", Expect::Nothing, || {
        let lab = Nested::default().build()?;
        traffic(move || {
            let outcome = lab.run(&DOWNLOAD)?;
            let idle = lab.open(&Transfer {
                port: 9090,
                ..DOWNLOAD
            })?;
            Ok(completed(lab, DOWNLOAD, outcome)?.keeping(idle))
        })
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
            traffic(move || {
                let (near, far) = (lab.inside()?, lab.server()?);
                let quic = udp::quic(near, far, address, Direction::Download, &SPACED)?;
                ensure!(quic.handshake && quic.data.arrived == 0, "{quic:?}");
                Ok(once(lab, Vec::new()))
            })
        },
    ),
];

const fn datagrams(function: &'static str, egress: &'static str) -> Expect {
    finds(Want {
        protocol: "udp",
        place: Some(Place {
            role: "host",
            ingress: None,
            egress,
            function,
            limit_bytes: 1450,
            packet_bytes: 1500,
        }),
        ..Want::new("mtu-black-hole", "error")
    })
}

const SPACED: Datagrams = Datagrams {
    interval: Duration::from_millis(100),
    ..Datagrams::full(Family::V4)
};

fn flood(lab: NestedLab) -> Result<Traffic> {
    // From the server, so that they meet the veth on their way in.
    let inside = lab::address::INNER.host(2, Family::V4);
    traffic(move || {
        let delivery = udp::send(lab.server()?, lab.inside()?, inside, &SPACED)?;
        ensure!(delivery.arrived == 0, "{delivery:?}");
        Ok(once(lab, Vec::new()))
    })
}

fn unread() -> Result<Traffic> {
    let lab = Nested::default().build()?;
    let transfer = Transfer::download(0).within(Duration::from_secs(5));
    let address = lab.server_address(Family::V4);
    traffic(move || {
        let unread = Unread::fill(lab.inside()?, lab.server()?, address, &transfer)?;
        // The window stays closed for longer than is daily life.
        std::thread::park_timeout(Duration::from_secs(4));
        Ok(once(lab, vec![Box::new(unread)]))
    })
}
