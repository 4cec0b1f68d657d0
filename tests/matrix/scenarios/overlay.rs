//! Tunnels that are too large for what they run on.

use lab::firewall::{Hook, drop_frag_needed};
use lab::kinds::Kind;
use lab::topology::{Overlay, OverlayLab};
use lab::traffic::Transfer;

use super::{DOWNLOAD, UPLOAD, completes, finds, hangs, scenario};
use crate::count::{Counter, FRAG_FAILS, FRAGMENTS, HEARD, TOLD, at_least, none};
use crate::foreseen::Foreseen;
use crate::scenario::{Expect, Place, Scenario, Want};

/// The overlay has the underlay's MTU: no room for the tunnel's 50 bytes.
const TOO_LARGE: Overlay = Overlay {
    tunnel: Kind::Vxlan,
    overlay: 1500,
    container: 1500,
    underlay: 1500,
    far: 1500,
    routed: false,
    df: false,
    offloads: false,
};
/// The overlay fits its host's interface, and the far end of the underlay is smaller.
const SMALL_FAR_END: Overlay = Overlay {
    overlay: 1450,
    container: 1450,
    far: 1400,
    ..TOO_LARGE
};
/// The payload of one full-size segment on an overlay of 1450, with TCP timestamps.
const ONE_SEGMENT: usize = 1398;

const TUNNEL_TX: Counter = Counter::DroppedTx(OverlayLab::TUNNEL);
const UNDERLAY_TX: Counter = Counter::DroppedTx(OverlayLab::UNDERLAY);
const UNDERLAY_RX: Counter = Counter::DroppedRx(OverlayLab::UNDERLAY);

const fn offloading(overlay: Overlay) -> Overlay {
    Overlay {
        offloads: true,
        ..overlay
    }
}

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "X1",
        "bridged vxlan without room: tells the sender",
        Expect::Nothing,
        || completes(TOO_LARGE.build()?, DOWNLOAD),
    ),
    scenario(
        "X3",
        "X1, and the container drops the message",
        finds(
            Want::hole(Place {
                role: "node1",
                ingress: None,
                egress: OverlayLab::TUNNEL,
                function: "skb_tunnel_check_pmtu",
                limit_bytes: 1450,
                packet_bytes: 1500,
            })
            .blocked("in", "INPUT")
            .direction("upload")
            // What the tunnel turns into a message is no drop.
            .after_at_least(0, 2),
        ),
        || {
            let lab = TOO_LARGE.build()?;
            drop_frag_needed(lab.inside()?, Hook::Input)?;
            hangs(lab, UPLOAD)
        },
    ),
    scenario(
        "X5",
        "routed vxlan, outer packets are cut",
        Expect::Nothing,
        || {
            let routed = Overlay {
                routed: true,
                ..TOO_LARGE
            };
            completes(routed.build()?, DOWNLOAD)
        },
    )
    .counts(&[at_least(26, FRAGMENTS, "node2"), none(FRAG_FAILS, "node2")]),
    scenario(
        "X6",
        "routed vxlan whose outer packets may not be cut",
        finds(
            Want::hole(Place {
                role: "node1",
                ingress: None,
                egress: OverlayLab::UNDERLAY,
                function: "ip_fragment",
                limit_bytes: 1500,
                packet_bytes: 1550,
            })
            .silent()
            .direction("upload"),
        ),
        || {
            let sealed = Overlay {
                routed: true,
                df: true,
                ..TOO_LARGE
            };
            hangs(sealed.build()?, UPLOAD)
        },
    )
    .counts(&[
        at_least(3, FRAG_FAILS, "node1"),
        at_least(3, TOLD, "node1"),
        at_least(3, HEARD, "node1"),
        at_least(3, TUNNEL_TX, "node1"),
        none(UNDERLAY_TX, "node1"),
        none(HEARD, "in"),
    ]),
    scenario(
        "X7",
        "outer packets die at the far end of the underlay",
        finds(
            Want::hole(Place {
                role: "node1",
                ingress: None,
                egress: OverlayLab::UNDERLAY,
                function: "__dev_forward_skb2",
                limit_bytes: 1400,
                packet_bytes: 1500,
            })
            .silent()
            .direction("upload"),
        ),
        || hangs(SMALL_FAR_END.build()?, UPLOAD),
    )
    .counts(&[
        at_least(3, UNDERLAY_TX, "node1"),
        at_least(3, UNDERLAY_RX, "node2"),
        at_least(3, TUNNEL_TX, "node1"),
        none(FRAG_FAILS, "node1"),
        none(TOLD, "node1"),
        none(HEARD, "in"),
    ]),
    scenario(
        "X7b",
        "X7 with offloads, two segments a time",
        Expect::Nothing,
        || {
            let pairs = Transfer::upload(20 * ONE_SEGMENT).paced(2 * ONE_SEGMENT);
            completes(offloading(SMALL_FAR_END).build()?, pairs)
        },
    ),
    scenario(
        "X7c",
        "X7 with offloads, one segment",
        finds(
            Want::hole(Place {
                role: "node1",
                ingress: None,
                egress: OverlayLab::UNDERLAY,
                function: "__dev_forward_skb2",
                limit_bytes: 1400,
                packet_bytes: 1500,
            })
            .silent()
            .direction("upload")
            // What is sent again with the next segment passes.
            .after_at_least(1, 2),
        ),
        || {
            let one = Transfer::upload(ONE_SEGMENT);
            hangs(offloading(SMALL_FAR_END).build()?, one)
        },
    ),
    scenario("X8", "vxlan with room", Expect::Nothing, || {
        completes(Overlay::default().build()?, DOWNLOAD)
    })
    .foreseen(Foreseen::QUIET),
];
