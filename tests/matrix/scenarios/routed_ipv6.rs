//! Routers of IPv6 whose way on is smaller: they tell the sender, if they are let.

use anyhow::Result;
use lab::address::{Family, INNER, OUTER};
use lab::firewall::{Hook, drop_packet_too_big, reject_packet_too_big};
use lab::settings;
use lab::topology::{Nested, NestedLab};
use lab::traffic::carry;

use super::routed::{DOWN, OUT, UP, hole, offloading, works};
use super::{
    DOWNLOAD, ROUTED, SMALL_UPLINK, UPLOAD, completes, finds, hangs, hung, scenario, traffic,
};
use crate::count::{Counter, TOO_BIG_V6, UNHEARD_V6, as_reported, at_least, none};
use crate::scenario::{Expect, Place, Scenario};

const HOST_V6: Place = Place {
    function: "ip6_forward",
    ..ROUTED
};
const OUT_V6: Place = Place {
    function: "ip6_forward",
    ..OUT
};

/// Where the host's own MTU for IPv6 is too small, on a link that is not.
const OWN_MTU: Place = Place {
    limit_bytes: 1400,
    ..HOST_V6
};

/// All links have 1500 bytes.
fn equal() -> Result<NestedLab> {
    let equal = Nested {
        uplink: 1500,
        port: 1500,
        ..SMALL_UPLINK
    };
    equal.build()
}

/// The host's interface has 1400 bytes for IPv6, its link 1500.
fn own_mtu() -> Result<NestedLab> {
    let lab = equal()?;
    let key = format!("ipv6/conf/{}/mtu", NestedLab::OUTER_BRIDGE);
    lab.host()?.sysctl(&key, "1400")?;
    Ok(lab)
}

pub const SCENARIOS: &[Scenario] = &[
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
    scenario(
        "V5",
        "IPv6: the router's own MTU for the interface is smaller than the link's",
        finds(hole(OWN_MTU, DOWN).blocked("host", "OUTPUT")),
        || {
            let lab = own_mtu()?;
            drop_packet_too_big(lab.host()?, Hook::Output)?;
            hangs(lab, DOWNLOAD.v6())
        },
    )
    .counts(&[at_least(3, UNHEARD_V6, "host")]),
    scenario(
        "V5b",
        "IPv6: the router's own MTU for the interface: discovery works",
        works(OWN_MTU, DOWN),
        || completes(own_mtu()?, DOWNLOAD.v6()),
    ),
    scenario(
        "V6",
        "IPv6: the MTU of the router's route is not locked",
        finds(
            hole(
                Place {
                    function: "ip6_fragment",
                    ..OWN_MTU
                },
                DOWN,
            )
            .blocked("host", "OUTPUT"),
        ),
        || {
            let lab = equal()?;
            let inner = OUTER.prefix(Family::V6);
            let device = NestedLab::OUTER_BRIDGE;
            let host = lab.host()?;
            host.ip(&format!(
                "route change {inner} dev {device} proto kernel metric 256 mtu 1400\n"
            ))?;
            let through = OUTER.host(2, Family::V6);
            let inner = INNER.prefix(Family::V6);
            host.ip(&format!("route change {inner} via {through} mtu 1400\n"))?;
            drop_packet_too_big(host, Hook::Output)?;
            hangs(lab, DOWNLOAD.v6())
        },
    )
    .counts(&[at_least(3, UNHEARD_V6, "host")]),
    scenario("V3", "V1 with offloads", Expect::Nothing, || {
        completes(offloading(SMALL_UPLINK).build()?, DOWNLOAD.v6())
    }),
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
