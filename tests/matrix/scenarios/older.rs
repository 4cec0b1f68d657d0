//! Connections that are older than the trace: nobody has seen their handshake.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::firewall::{Hook, drop_frag_needed};
use lab::topology::{Nested, NestedLab};
use lab::traffic::{Transfer, carry, push};

use super::{DOWNLOAD, ROUTED, SMALL_UPLINK, UPLOAD, completed, finds, hung, older, traffic};
use crate::scenario::{Expect, Place, Scenario, Traffic, Want};

const VETH: Place = Place {
    ingress: None,
    egress: NestedLab::OUTER_PORT,
    function: "__dev_forward_skb2",
    ..ROUTED
};
const VETH_ALONE: Nested = Nested {
    port: 1500,
    ..SMALL_UPLINK
};

const fn unheard() -> Expect {
    finds(
        Want::hole(ROUTED)
            .blocked("host", "OUTPUT")
            .direction("download"),
    )
}

/// The next timeout of a connection that has waited for long may be the only one under the trace.
const fn resumed() -> Expect {
    finds(
        Want::hole(ROUTED)
            .blocked("host", "OUTPUT")
            .direction("download")
            .after_at_least(1, 1),
    )
}

pub const SCENARIOS: &[Scenario] = &[
    older("H1", "A2, opened before the trace", unheard(), || {
        opened(unheard_download(SMALL_UPLINK)?, DOWNLOAD)
    }),
    older(
        "H2",
        "B1, opened before the trace",
        finds(Want::hole(VETH).silent().direction("download")),
        || opened(VETH_ALONE.build()?, DOWNLOAD),
    ),
    older("H3", "N2, opened before the trace", unheard(), || {
        let nested = Nested {
            masquerade: true,
            ..SMALL_UPLINK
        };
        opened(unheard_download(nested)?, DOWNLOAD)
    }),
    older(
        "H4",
        "A5b, opened before the trace",
        finds(
            Want::hole(Place {
                role: "out",
                ingress: Some(NestedLab::INNER_BRIDGE),
                egress: NestedLab::UPLINK,
                ..ROUTED
            })
            .blocked("in", "INPUT")
            .direction("upload"),
        ),
        || {
            let lab = SMALL_UPLINK.build()?;
            drop_frag_needed(lab.inside()?, Hook::Input)?;
            opened(lab, UPLOAD)
        },
    ),
    older("H5", "A2, stalled before the trace", resumed(), || {
        let lab = unheard_download(SMALL_UPLINK)?;
        let connection = lab.open(&DOWNLOAD)?;
        let soon = DOWNLOAD.within(Duration::from_millis(1000));
        let outcome = carry(connection, &soon)?;
        ensure!(outcome.hung(), "should hang: {outcome:?}");
        traffic(move || {
            // Three more timeouts: 1.5, 3.1 and 6.5 s after the first of all.
            let waiting = Transfer::download(1).within(Duration::from_secs(8));
            hung(lab, DOWNLOAD, push(outcome.connection, &waiting)?)
        })
    }),
    older(
        "H7",
        "A2, stalled for long before the trace",
        finds(
            Want::hole(ROUTED)
                .direction("download")
                .after_at_least(1, 1),
        ),
        || {
            let lab = unheard_download(SMALL_UPLINK)?;
            let connection = lab.open(&DOWNLOAD)?;
            // Timeouts 0.2, 0.6, 1.5, 3.1 and 6.5 s after the first loss; the next is at 13.
            let long = DOWNLOAD.within(Duration::from_millis(7000));
            let outcome = carry(connection, &long)?;
            ensure!(outcome.hung(), "should hang: {outcome:?}");
            traffic(move || {
                let waiting = Transfer::download(1).within(Duration::from_secs(2));
                hung(lab, DOWNLOAD, push(outcome.connection, &waiting)?)
            })
        },
    ),
    older(
        "H6",
        "nothing wrong, opened before the trace",
        Expect::Nothing,
        || {
            let lab = Nested::default().build()?;
            let outcome = lab.run(&DOWNLOAD)?;
            ensure!(outcome.completed(), "should complete: {outcome:?}");
            traffic(move || completed(lab, DOWNLOAD, carry(outcome.connection, &DOWNLOAD)?))
        },
    ),
];

fn unheard_download(nested: Nested) -> Result<NestedLab> {
    let lab = nested.build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    Ok(lab)
}

/// A connection that is open, with what is left: a transfer that hangs.
fn opened(lab: NestedLab, transfer: Transfer) -> Result<Traffic> {
    let small = Transfer {
        bytes: 100,
        ..transfer
    };
    let outcome = carry(lab.open(&small)?, &small)?;
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    traffic(move || hung(lab, transfer, carry(outcome.connection, &transfer)?))
}
