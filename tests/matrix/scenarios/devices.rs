//! Interfaces on an interface: macvlan and 802.1Q.

use anyhow::Result;
use lab::firewall::{Hook, drop_frag_needed};
use lab::kinds::Kind;
use lab::link;
use lab::topology::{Macvlan, MacvlanLab, Trunk, TrunkLab};
use lab::traffic::carry;

use super::{DOWNLOAD, UPLOAD, completed, completes, finds, hangs, hung, scenario, traffic};
use crate::count::{Counter, as_reported, at_least};
use crate::scenario::{Expect, Place, Scenario, Traffic, Want};

/// A veth whose other end is smaller, below what the sender has.
const LOWER: Place = Place {
    role: "host",
    ingress: None,
    egress: MacvlanLab::LOWER,
    function: "__dev_forward_skb2",
    limit_bytes: 1450,
    packet_bytes: 1500,
};

const LOWER_TX: Counter = Counter::DroppedTx(MacvlanLab::LOWER);

const fn below(limit_bytes: u32) -> Expect {
    finds(
        Want::hole(Place {
            limit_bytes,
            ..LOWER
        })
        .silent()
        .direction("upload"),
    )
}

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "M1",
        "macvlan: the end beyond its host's interface is small",
        below(1450),
        || {
            let lab = Macvlan::default().build()?;
            traffic(move || {
                // After the handshake, since the server would offer an MSS that fits.
                let connection = lab.open(&UPLOAD)?;
                link::set_mtu(lab.server()?, MacvlanLab::DEVICE, 1450)?;
                hung(lab, UPLOAD, carry(connection, &UPLOAD)?)
            })
        },
    )
    .counts(&[as_reported(LOWER_TX, "host")])
    .unforeseen("the MTU is set under traffic")
    .needs(Kind::Macvlan),
    scenario(
        "M2",
        "a smaller macvlan takes what is longer",
        Expect::Nothing,
        || {
            let lab = Macvlan::default().build()?;
            traffic(move || {
                let connection = lab.open_beside(&UPLOAD)?;
                link::set_mtu(lab.second()?, MacvlanLab::DEVICE, 1400)?;
                completed(lab, UPLOAD, carry(connection, &UPLOAD)?)
            })
        },
    )
    .needs(Kind::Macvlan),
    scenario(
        "W1",
        "a small VLAN on an interface, unheard",
        finds(
            Want::hole(Place {
                egress: TrunkLab::VLAN,
                function: "ip_forward",
                ..LOWER
            })
            .blocked("host", "OUTPUT")
            .direction("upload"),
        ),
        || {
            let lab = Trunk {
                vlan: 1450,
                ..Trunk::default()
            }
            .build()?;
            drop_frag_needed(lab.host()?, Hook::Output)?;
            hangs(lab, UPLOAD)
        },
    )
    .needs(Kind::Vlan),
    scenario(
        "W2",
        "a VLAN on an interface whose other end is small",
        below(1450),
        || shrunk(false, 1450),
    )
    .counts(&[at_least(3, LOWER_TX, "host")])
    .unforeseen("the MTU is set under traffic")
    .needs(Kind::Vlan),
    scenario(
        "W3",
        "W2 with tags written into the frames",
        below(1450),
        || shrunk(true, 1450),
    )
    .counts(&[at_least(3, LOWER_TX, "host")])
    .unforeseen("the MTU is set under traffic")
    .needs(Kind::Vlan),
    scenario(
        "W4",
        "written tags take the four bytes that B3 has left",
        below(1496),
        || shrunk(true, 1496),
    )
    .unforeseen("the MTU is set under traffic")
    .needs(Kind::Vlan),
    scenario(
        "W5",
        "equal MTUs, with written tags",
        Expect::Nothing,
        || {
            let lab = Trunk {
                written: true,
                ..Trunk::default()
            };
            completes(lab.build()?, DOWNLOAD)
        },
    )
    .needs(Kind::Vlan),
];

/// An upload on a trunk whose far end becomes smaller after the handshake.
fn shrunk(written: bool, mtu: u32) -> Result<Traffic> {
    let lab = Trunk {
        written,
        ..Trunk::default()
    }
    .build()?;
    traffic(move || {
        let connection = lab.open(&UPLOAD)?;
        link::set_mtu(lab.server()?, TrunkLab::SERVER_LOWER, mtu)?;
        hung(lab, UPLOAD, carry(connection, &UPLOAD)?)
    })
}
