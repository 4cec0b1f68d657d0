//! Routers whose way on is smaller: they tell the sender, if they are let.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{
    address::{Family, INNER},
    clamp::{clamp_to_pmtu, clamp_to_pmtu_by_iptables},
    firewall::{Hook, drop_frag_needed, drop_packet_too_big},
    link,
    settings::{self, Probing},
    topology::{Asymmetric, AsymmetricLab, Deep, DeepLab, Nested, NestedLab},
    traffic,
};

use super::{DOWNLOAD, ROUTED, SMALL_UPLINK, UPLOAD, act, completes, finds, hangs, scenario};
use crate::scenario::{Act, Expect, Place, Scenario, Want};

const OUT: Place = Place {
    role: "out",
    egress: NestedLab::UPLINK,
    ..ROUTED
};
const HOST_V6: Place = Place {
    function: "ip6_forward",
    ..ROUTED
};
const OUT_V6: Place = Place {
    function: "ip6_forward",
    ..OUT
};
const DOWN: &str = "download";
const UP: &str = "upload";

const fn works(place: Place, direction: &'static str) -> Expect {
    finds(
        Want {
            place: Some(place),
            local: Some("in"),
            silent: Some(false),
            ..Want::new("pmtud-working", "info")
        }
        .direction(direction),
    )
}

const fn hole(place: Place, direction: &'static str) -> Want {
    Want::hole(place).direction(direction)
}

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "A1",
        "discovery works, download",
        works(ROUTED, DOWN),
        || completes(SMALL_UPLINK.build()?, DOWNLOAD),
    ),
    scenario(
        "A2",
        "the router drops its own message in OUTPUT",
        finds(hole(ROUTED, DOWN).blocked("host", "OUTPUT")),
        || hangs(unheard_download()?, DOWNLOAD),
    ),
    scenario(
        "A2b",
        "the server drops the message in INPUT",
        finds(hole(ROUTED, DOWN).blocked("srv", "INPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_frag_needed(lab.server()?, Hook::Input)?;
            hangs(lab, DOWNLOAD)
        },
    ),
    scenario(
        "A2c",
        "the same as A2, with a server that probes",
        finds(Want {
            place: Some(ROUTED),
            ..Want::new("pmtud-slow", "warning")
        }),
        || {
            let lab = unheard_download()?;
            settings::probe_mtu(lab.server()?, Probing::OnSuspicion)?;
            completes(lab, DOWNLOAD.within(Duration::from_secs(20)))
        },
    ),
    scenario("A3", "A1 with offloads", Expect::Nothing, || {
        completes(offloading(SMALL_UPLINK).build()?, DOWNLOAD)
    }),
    scenario(
        "A3b",
        "A2 with offloads",
        finds(hole(ROUTED, DOWN).blocked("host", "OUTPUT")),
        || {
            let lab = offloading(SMALL_UPLINK).build()?;
            drop_frag_needed(lab.host()?, Hook::Output)?;
            hangs(lab, DOWNLOAD)
        },
    ),
    scenario("A4", "sent without DF: fragments", Expect::Nothing, || {
        let lab = unheard_download()?;
        settings::no_discovery(lab.server()?, 1)?;
        completes(lab, DOWNLOAD)
    }),
    scenario("A5", "discovery works, upload", works(OUT, UP), || {
        completes(SMALL_UPLINK.build()?, UPLOAD)
    }),
    scenario(
        "A5b",
        "the container drops the message in INPUT",
        finds(hole(OUT, UP).blocked("in", "INPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_frag_needed(lab.inside()?, Hook::Input)?;
            hangs(lab, UPLOAD)
        },
    ),
    scenario("V1", "IPv6: discovery works", works(HOST_V6, DOWN), || {
        completes(SMALL_UPLINK.build()?, DOWNLOAD.v6())
    }),
    scenario(
        "V2",
        "IPv6: the router drops its own message",
        finds(hole(HOST_V6, DOWN).blocked("host", "OUTPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_packet_too_big(lab.host()?, Hook::Output)?;
            hangs(lab, DOWNLOAD.v6())
        },
    ),
    scenario(
        "V2b",
        "IPv6: the container drops the message",
        finds(hole(OUT_V6, UP).blocked("in", "INPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_packet_too_big(lab.inside()?, Hook::Input)?;
            hangs(lab, UPLOAD.v6())
        },
    ),
    scenario("V3", "V1 with offloads", Expect::Nothing, || {
        completes(offloading(SMALL_UPLINK).build()?, DOWNLOAD.v6())
    }),
    scenario(
        "N1",
        "discovery works through two masquerades",
        works(ROUTED, DOWN),
        || completes(masquerading(SMALL_UPLINK).build()?, DOWNLOAD),
    ),
    scenario(
        "N2",
        "A2 behind two masquerades",
        finds(hole(ROUTED, DOWN).blocked("host", "OUTPUT")),
        || {
            let lab = masquerading(SMALL_UPLINK).build()?;
            drop_frag_needed(lab.host()?, Hook::Output)?;
            hangs(lab, DOWNLOAD)
        },
    ),
    scenario(
        "F1",
        "a clamp to the path MTU, by iptables",
        Expect::Nothing,
        || {
            let lab = SMALL_UPLINK.build()?;
            clamp_to_pmtu_by_iptables(lab.host()?)?;
            completes(lab, DOWNLOAD)
        },
    ),
    scenario(
        "F2",
        "A2 with an inner MTU of 1450",
        Expect::Nothing,
        || {
            let lab = Nested {
                container: 1450,
                ..SMALL_UPLINK
            }
            .build()?;
            drop_frag_needed(lab.host()?, Hook::Output)?;
            completes(lab, DOWNLOAD)
        },
    ),
    scenario(
        "F3",
        "a clamp to the route's MTU, by nft",
        Expect::Nothing,
        || {
            let lab = SMALL_UPLINK.build()?;
            clamp_to_pmtu(lab.out()?)?;
            completes(lab, UPLOAD)
        },
    ),
    scenario(
        "F4",
        "A2 with a clamp at the router",
        Expect::Nothing,
        || {
            let lab = unheard_download()?;
            clamp_to_pmtu(lab.host()?)?;
            completes(lab, DOWNLOAD)
        },
    ),
    scenario(
        "D3",
        "three levels, the middle one small, unheard",
        finds(
            hole(
                Place {
                    role: "c1",
                    egress: DeepLab::BRIDGE,
                    ..ROUTED
                },
                DOWN,
            )
            .unfixed(),
        ),
        three_levels,
    ),
    scenario(
        "D4",
        "paths that differ, only the way back small, unheard",
        finds(hole(
            Place {
                role: "back",
                egress: AsymmetricLab::TO_CLIENT,
                ..ROUTED
            },
            DOWN,
        )),
        || {
            let lab = Asymmetric {
                back: 1450,
                ..Asymmetric::default()
            }
            .build()?;
            drop_frag_needed(lab.back()?, Hook::Output)?;
            hangs(lab, DOWNLOAD)
        },
    ),
    scenario(
        "S1",
        "a locked route MTU: fragments",
        Expect::Nothing,
        || {
            let lab = unheard_download()?;
            settings::lock_mtu(lab.server()?, INNER.host(2, Family::V4), 1500)?;
            completes(lab, DOWNLOAD)
        },
    ),
    scenario(
        "S2",
        "IPv6: the rate limit of ICMP silences the router",
        finds(hole(HOST_V6, DOWN)),
        || {
            let lab = SMALL_UPLINK.build()?;
            settings::limit_icmp(lab.host()?)?;
            hangs(lab, DOWNLOAD.v6())
        },
    ),
    scenario(
        "S3",
        "the MTU is lowered in the middle, unheard",
        finds(hole(ROUTED, DOWN).blocked("host", "OUTPUT")),
        lowered,
    ),
    scenario(
        "S4",
        "IPv6 with destination options, unheard",
        finds(hole(OUT_V6, UP).blocked("out", "OUTPUT").unfixed()),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_packet_too_big(lab.out()?, Hook::Output)?;
            let transfer = UPLOAD.v6();
            let connection = lab.open(&transfer)?;
            settings::add_destination_options(&connection.near, 64)?;
            let outcome = traffic::carry(connection, &transfer)?;
            ensure!(outcome.hung(), "should hang: {outcome:?}");
            Ok(act(lab, transfer, vec![Box::new(outcome)]))
        },
    ),
];

fn unheard_download() -> Result<NestedLab> {
    let lab = SMALL_UPLINK.build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    Ok(lab)
}

fn offloading(nested: Nested) -> Nested {
    Nested {
        offloads: true,
        ..nested
    }
}

fn masquerading(nested: Nested) -> Nested {
    Nested {
        masquerade: true,
        ..nested
    }
}

fn three_levels() -> Result<Act> {
    let mut deep = Deep::default();
    deep.levels[1] = lab::topology::Level::of(1450);
    let lab = deep.build()?;
    for depth in 0..3 {
        drop_frag_needed(lab.forwarder(depth)?, Hook::Output)?;
    }
    hangs(lab, DOWNLOAD)
}

fn lowered() -> Result<Act> {
    let lab = Nested::default().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let outcome = lab.run(&DOWNLOAD)?;
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    link::set_mtu(lab.out()?, NestedLab::UPLINK, 1450)?;
    link::set_mtu(lab.host()?, NestedLab::OUTER_PORT, 1450)?;
    let outcome = traffic::carry(outcome.connection, &DOWNLOAD)?;
    ensure!(outcome.hung(), "should hang: {outcome:?}");
    Ok(act(lab, DOWNLOAD, vec![Box::new(outcome)]))
}
