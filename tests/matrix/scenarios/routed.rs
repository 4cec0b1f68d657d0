//! Routers whose way on is smaller: they tell the sender, if they are let.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::address::{Family, INNER};
use lab::clamp::{clamp_to_pmtu, clamp_to_pmtu_by_iptables};
use lab::firewall::{Hook, drop_frag_needed, drop_packet_too_big, reject_packet_too_big};
use lab::link;
use lab::report::Severity;
use lab::settings::{self, Probing};
use lab::topology::{Asymmetric, AsymmetricLab, Deep, DeepLab, Nested, NestedLab};
use lab::traffic::carry;

use super::{
    DOWNLOAD, ROUTED, SMALL_UPLINK, UPLOAD, completes, finds, hangs, hung, scenario, traffic,
};
use crate::count::{
    Counter, FRAG_FAILS, FRAGMENTS, HEARD, TOO_BIG_V6, UNHEARD, UNHEARD_V6, as_reported, at_least,
    none,
};
use crate::foreseen::Foreseen;
use crate::scenario::{Expect, Place, Scenario, Traffic, Want};

const OUT: Place = Place {
    role: "out",
    ingress: Some(NestedLab::INNER_BRIDGE),
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
    finds(Want::working(place).direction(direction))
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
    )
    .counts(&[at_least(1, FRAG_FAILS, "host"), at_least(1, HEARD, "srv")]),
    scenario(
        "A2",
        "the router drops its own message in OUTPUT",
        finds(Want {
            hop: Some((NestedLab::OUTER_BRIDGE, 1450, "bridge")),
            ..hole(ROUTED, DOWN).blocked("host", "OUTPUT")
        }),
        || hangs(unheard_download()?, DOWNLOAD),
    )
    .counts(&[
        as_reported(FRAG_FAILS, "host"),
        at_least(3, UNHEARD, "host"),
        none(HEARD, "srv"),
    ]),
    scenario(
        "A2b",
        "the server drops the message in INPUT",
        finds(hole(ROUTED, DOWN).blocked("srv", "INPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_frag_needed(lab.server()?, Hook::Input)?;
            hangs(lab, DOWNLOAD)
        },
    )
    .counts(&[as_reported(FRAG_FAILS, "host"), at_least(3, UNHEARD, "srv")]),
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
    })
    .foreseen(Foreseen::harmless("the sender has path MTU discovery off")),
    scenario("A5", "discovery works, upload", works(OUT, UP), || {
        completes(SMALL_UPLINK.build()?, UPLOAD)
    })
    .counts(&[at_least(1, FRAG_FAILS, "out"), at_least(1, HEARD, "in")]),
    scenario(
        "A5b",
        "the container drops the message in INPUT",
        finds(hole(OUT, UP).blocked("in", "INPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_frag_needed(lab.inside()?, Hook::Input)?;
            hangs(lab, UPLOAD)
        },
    )
    .counts(&[as_reported(FRAG_FAILS, "out"), at_least(3, UNHEARD, "in")]),
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
    )
    .counts(&[
        as_reported(TOO_BIG_V6, "host"),
        at_least(3, UNHEARD_V6, "host"),
    ]),
    scenario(
        "V2b",
        "IPv6: the container drops the message",
        finds(hole(OUT_V6, UP).blocked("in", "INPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_packet_too_big(lab.inside()?, Hook::Input)?;
            hangs(lab, UPLOAD.v6())
        },
    )
    .counts(&[
        as_reported(TOO_BIG_V6, "out"),
        at_least(3, UNHEARD_V6, "in"),
    ]),
    scenario(
        "V2c",
        "IPv6: the server drops the message",
        finds(hole(HOST_V6, DOWN).blocked("srv", "INPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_packet_too_big(lab.server()?, Hook::Input)?;
            hangs(lab, DOWNLOAD.v6())
        },
    )
    .counts(&[
        as_reported(TOO_BIG_V6, "host"),
        at_least(3, UNHEARD_V6, "srv"),
    ]),
    scenario(
        "V2d",
        "IPv6: the router rejects its own message",
        finds(hole(HOST_V6, DOWN).blocked("host", "OUTPUT")),
        || {
            let lab = SMALL_UPLINK.build()?;
            reject_packet_too_big(lab.host()?, Hook::Output)?;
            hangs(lab, DOWNLOAD.v6())
        },
    )
    .counts(&[
        as_reported(TOO_BIG_V6, "host"),
        at_least(3, UNHEARD_V6, "host"),
    ]),
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
        finds(Want {
            // Where the host has undone its own masquerade, but not that of `out`.
            translated: Some("198.51.100.2"),
            ..hole(ROUTED, DOWN).blocked("host", "OUTPUT")
        }),
        || {
            let lab = masquerading(SMALL_UPLINK).build()?;
            drop_frag_needed(lab.host()?, Hook::Output)?;
            hangs(lab, DOWNLOAD)
        },
    )
    .counts(&[as_reported(FRAG_FAILS, "host")]),
    scenario(
        "F1",
        "a clamp to the path MTU, by iptables",
        Expect::Nothing,
        || {
            let lab = SMALL_UPLINK.build()?;
            clamp_to_pmtu_by_iptables(lab.host()?)?;
            completes(lab, DOWNLOAD)
        },
    )
    .foreseen(Foreseen::harmless("lowers the segment size")),
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
    )
    .foreseen(Foreseen::QUIET),
    scenario(
        "F3",
        "a clamp to the route's MTU, by nft",
        Expect::Nothing,
        || {
            let lab = SMALL_UPLINK.build()?;
            clamp_to_pmtu(lab.out()?)?;
            completes(lab, UPLOAD)
        },
    )
    .foreseen(Foreseen::QUIET),
    scenario(
        "F4",
        "A2 with a clamp at the router",
        Expect::Nothing,
        || {
            let lab = unheard_download()?;
            clamp_to_pmtu(lab.host()?)?;
            completes(lab, DOWNLOAD)
        },
    )
    .foreseen(Foreseen::AtMost(
        Severity::Info,
        Some("lowers the segment size"),
    )),
    scenario(
        "D3",
        "three levels, the middle one small, unheard",
        finds(
            hole(
                Place {
                    role: "c1",
                    ingress: Some(DeepLab::uplink(1)),
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
                ingress: Some(AsymmetricLab::TO_SERVER),
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
    )
    .unforeseen("check looks along one way only"),
    scenario(
        "S1",
        "a locked route MTU: fragments",
        Expect::Nothing,
        || {
            let lab = unheard_download()?;
            settings::lock_mtu(lab.server()?, INNER.host(2, Family::V4), 1500)?;
            completes(lab, DOWNLOAD)
        },
    )
    .counts(&[at_least(26, FRAGMENTS, "host"), none(FRAG_FAILS, "host")]),
    scenario(
        "S2",
        "IPv6: the rate limit of ICMP silences the router",
        finds(hole(HOST_V6, DOWN)),
        || {
            let lab = SMALL_UPLINK.build()?;
            settings::limit_icmp(lab.host()?)?;
            hangs(lab, DOWNLOAD.v6())
        },
    )
    .counts(&[
        as_reported(TOO_BIG_V6, "host"),
        none(Counter::Snmp6("Icmp6OutPktTooBigs"), "host"),
        none(Counter::Snmp6("Icmp6InPktTooBigs"), "srv"),
    ])
    .unforeseen("check does not reckon with limits on rates"),
    scenario(
        "S3",
        "the MTU is lowered in the middle, unheard",
        finds(hole(ROUTED, DOWN).blocked("host", "OUTPUT")),
        lowered,
    )
    .unforeseen("the MTU is set under traffic"),
    scenario(
        "S4",
        "IPv6 with destination options, unheard",
        finds(hole(OUT_V6, UP).blocked("out", "OUTPUT").unfixed()),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_packet_too_big(lab.out()?, Hook::Output)?;
            let transfer = UPLOAD.v6();
            traffic(move || {
                let connection = lab.open(&transfer)?;
                settings::add_destination_options(&connection.near, 64)?;
                hung(lab, transfer, carry(connection, &transfer)?)
            })
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

fn three_levels() -> Result<Traffic> {
    let mut deep = Deep::default();
    deep.levels[1] = lab::topology::Level::of(1450);
    let lab = deep.build()?;
    for depth in 0..3 {
        drop_frag_needed(lab.forwarder(depth)?, Hook::Output)?;
    }
    hangs(lab, DOWNLOAD)
}

fn lowered() -> Result<Traffic> {
    let lab = Nested::default().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    traffic(move || {
        let outcome = lab.run(&DOWNLOAD)?;
        ensure!(outcome.completed(), "should complete: {outcome:?}");
        link::set_mtu(lab.out()?, NestedLab::UPLINK, 1450)?;
        link::set_mtu(lab.host()?, NestedLab::OUTER_PORT, 1450)?;
        hung(lab, DOWNLOAD, carry(outcome.connection, &DOWNLOAD)?)
    })
}
