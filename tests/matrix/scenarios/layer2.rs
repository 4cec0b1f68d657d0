//! Holes at layer 2, where nobody can tell the sender.

use anyhow::Result;
use lab::topology::{Nested, NestedLab, Switched, SwitchedLab};
use lab::traffic::Transfer;
use lab::{link, settings};

use super::{DOWNLOAD, ONE_SEGMENT, SMALL_UPLINK, completes, finds, hangs, runs, scenario};
use crate::count::{
    Counter, FRAG_FAILS, FRAG_FAILS_V6, RETRANSMITTED, TOLD, as_reported, at_least, none,
};
use crate::foreseen::Foreseen;
use crate::scenario::{Expect, Place, Scenario, Want};

const VETH: Place = Place {
    role: "host",
    ingress: None,
    egress: NestedLab::OUTER_PORT,
    function: "__dev_forward_skb2",
    limit_bytes: 1450,
    packet_bytes: 1500,
};
const PORT: Place = Place {
    function: "br_dev_queue_push_xmit",
    ..VETH
};
const SWITCH: Place = Place {
    role: "sw",
    egress: SwitchedLab::CLIENT_PORT,
    ..PORT
};

/// What the ends of the veth count.
const TX: Counter = Counter::DroppedTx(NestedLab::OUTER_PORT);
const RX: Counter = Counter::DroppedRx(NestedLab::UPLINK);
const SWITCH_TX: Counter = Counter::DroppedTx(SwitchedLab::CLIENT_PORT);
const FRAGMENTS_V6: Counter = Counter::Snmp6("Ip6FragCreates");

const fn hole(place: Place) -> Expect {
    finds(Want::hole(place).silent().direction("download"))
}

const fn uplink(mtu: u32, offloads: bool) -> Nested {
    Nested {
        uplink: mtu,
        port: 1500,
        offloads,
        ..SMALL_UPLINK
    }
}

const fn forced(offloads: bool) -> Nested {
    Nested {
        bridge: Some(1500),
        offloads,
        ..SMALL_UPLINK
    }
}

const fn switch(port: u32, netfilter: bool) -> Switched {
    Switched {
        port,
        bridge: Some(1500),
        netfilter,
        offloads: false,
    }
}

/// A lot, but few segments at a time: a queue that overflows would leave one to be sent again by itself.
const BULK: Transfer = Transfer::download(50 * BURST).paced(BURST);
const BURST: usize = 20 * ONE_SEGMENT;

/// B1 with a sender that sends segment by segment, and a host that puts them together or not.
fn one_by_one(merged: bool) -> Result<NestedLab> {
    let lab = uplink(1450, true).build()?;
    link::set_segmentation(lab.server()?, NestedLab::SERVER, false)?;
    link::set_merging(lab.host()?, NestedLab::EXTERNAL, merged)?;
    Ok(lab)
}

pub const SCENARIOS: &[Scenario] = &[
    scenario("B1", "the veth's other end is smaller", hole(VETH), || {
        hangs(uplink(1450, false).build()?, DOWNLOAD)
    })
    .counts(&[
        as_reported(TX, "host"),
        as_reported(RX, "out"),
        none(TOLD, "host"),
    ]),
    scenario(
        "B2",
        "B1 with offloads, two segments a time",
        Expect::Nothing,
        || {
            let pairs = Transfer::download(20 * ONE_SEGMENT).paced(2 * ONE_SEGMENT);
            completes(uplink(1450, true).build()?, pairs)
        },
    ),
    scenario("B2b", "B1 with offloads, one segment", hole(VETH), || {
        hangs(uplink(1450, true).build()?, Transfer::download(ONE_SEGMENT))
    }),
    scenario("B3", "smaller by four bytes: fits", Expect::Nothing, || {
        completes(uplink(1496, false).build()?, DOWNLOAD)
    })
    .foreseen(Foreseen::NO_ERROR),
    scenario(
        "B4",
        "smaller by five bytes",
        hole(Place {
            limit_bytes: 1495,
            ..VETH
        }),
        || hangs(uplink(1495, false).build()?, DOWNLOAD),
    ),
    scenario("C1", "a bridge larger than its port", hole(PORT), || {
        hangs(forced(false).build()?, DOWNLOAD)
    })
    .counts(&[
        at_least(3, RETRANSMITTED, "srv"),
        none(FRAG_FAILS, "host"),
        none(TX, "host"),
    ]),
    scenario(
        "C2",
        "C1 with offloads, two segments a time",
        Expect::Nothing,
        || {
            let pairs = Transfer::download(20 * ONE_SEGMENT).paced(2 * ONE_SEGMENT);
            completes(forced(true).build()?, pairs)
        },
    ),
    scenario("C2b", "C1 with offloads, one segment", hole(PORT), || {
        hangs(forced(true).build()?, Transfer::download(ONE_SEGMENT))
    }),
    scenario("L1", "a switch with a small port", hole(SWITCH), || {
        hangs(switch(1450, false).build()?, DOWNLOAD)
    })
    .counts(&[at_least(3, RETRANSMITTED, "srv"), none(SWITCH_TX, "sw")]),
    scenario(
        "L2",
        "L1 with bridge netfilter",
        hole(Place {
            function: "br_nf_dev_queue_xmit",
            ..SWITCH
        }),
        || hangs(switch(1450, true).build()?, DOWNLOAD),
    )
    .counts(&[as_reported(FRAG_FAILS, "sw")]),
    scenario(
        "L4",
        "port of 1497, with bridge netfilter",
        hole(Place {
            function: "br_nf_dev_queue_xmit",
            limit_bytes: 1497,
            ..SWITCH
        }),
        || hangs(switch(1497, true).build()?, DOWNLOAD),
    ),
    scenario("L5", "port of 1497, without: fits", Expect::Nothing, || {
        completes(switch(1497, false).build()?, DOWNLOAD)
    })
    .foreseen(Foreseen::QUIET),
    scenario(
        "L3",
        "L2 over IPv6",
        hole(Place {
            function: "ip6_fragment",
            ..SWITCH
        }),
        || {
            let follows = Switched {
                bridge: None,
                ..switch(1450, true)
            };
            hangs(follows.build()?, DOWNLOAD.v6())
        },
    )
    .counts(&[as_reported(FRAG_FAILS_V6, "sw")]),
    scenario(
        "L3b",
        "L3 with a bridge larger than its port",
        hole(Place {
            packet_bytes: 1496,
            ..SWITCH
        }),
        || hangs(switch(1450, true).build()?, DOWNLOAD.v6()),
    )
    .counts(&[none(FRAG_FAILS_V6, "sw"), at_least(3, FRAGMENTS_V6, "sw")])
    .unforeseen("check goes by packets, not by their fragments"),
    scenario(
        "G1",
        "B1, segments put together on the way",
        // Two segments pass together, but some kernels and slow machines leave one alone.
        Expect::IfHung(Want::hole(VETH).silent().direction("download")),
        || runs(one_by_one(true)?, BULK),
    ),
    scenario("G2", "B1, segments stay as they are", hole(VETH), || {
        hangs(one_by_one(false)?, BULK)
    }),
    scenario("S5", "B1 from a sender without DF", hole(VETH), || {
        let lab = uplink(1450, false).build()?;
        settings::no_discovery(lab.server()?, 1)?;
        hangs(lab, DOWNLOAD)
    }),
    scenario(
        "V3b",
        "IPv6: V4 with offloads, two segments a time",
        Expect::Nothing,
        || {
            let pairs = Transfer::download(20 * ONE_SEGMENT).paced(2 * ONE_SEGMENT);
            completes(uplink(1450, true).build()?, pairs.v6())
        },
    ),
    scenario(
        "V4",
        "IPv6: the veth's other end is smaller",
        hole(VETH),
        || hangs(uplink(1450, false).build()?, DOWNLOAD.v6()),
    ),
];
