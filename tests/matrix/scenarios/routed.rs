//! Routers whose way on is smaller: they tell the sender, if they are let.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::address::{Family, INNER};
use lab::clamp::{clamp_to_pmtu, clamp_to_pmtu_by_iptables};
use lab::firewall::{Hook, drop_frag_needed};
use lab::link;
use lab::report::Severity;
use lab::settings::{self, Probing};
use lab::topology::{Asymmetric, AsymmetricLab, Deep, DeepLab, Nested, NestedLab};
use lab::traffic::carry;

use super::{
    DOWNLOAD, ROUTED, SMALL_UPLINK, UPLOAD, completes, finds, hangs, hung, scenario, traffic,
};
use crate::count::{FRAG_FAILS, FRAGMENTS, HEARD, UNHEARD, as_reported, at_least, none};
use crate::foreseen::Foreseen;
use crate::scenario::{Expect, Place, Scenario, Traffic, Want};

pub(super) const OUT: Place = Place {
    role: "out",
    ingress: Some(NestedLab::INNER_BRIDGE),
    egress: NestedLab::UPLINK,
    ..ROUTED
};
pub(super) const DOWN: &str = "download";
pub(super) const UP: &str = "upload";

pub(super) const fn works(place: Place, direction: &'static str) -> Expect {
    finds(Want::working(place).direction(direction))
}

pub(super) const fn hole(place: Place, direction: &'static str) -> Want {
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
        "S3",
        "the MTU is lowered in the middle, unheard",
        finds(hole(ROUTED, DOWN).blocked("host", "OUTPUT")),
        lowered,
    )
    .unforeseen("the MTU is set under traffic"),
];

fn unheard_download() -> Result<NestedLab> {
    let lab = SMALL_UPLINK.build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    Ok(lab)
}

pub(super) fn offloading(nested: Nested) -> Nested {
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
