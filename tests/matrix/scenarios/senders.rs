//! Senders whose way out goes while a connection is at work, and two narrow places in a row.

use anyhow::Result;
use lab::topology::{Deep, DeepLab, Level, Nested};
use lab::traffic::push;

use super::{DOWNLOAD, UPLOAD, finds, hangs, hung, scenario, traffic};
use crate::scenario::{Expect, Place, Scenario, Traffic, Want};

/// What is said of a container whose way out is gone. Whether its fix brings that back depends on whether
/// the tracer had read the routes before: it may be younger than the lab.
const fn no_route() -> Expect {
    let want = Want::new("no-route", "error").direction("upload");
    finds(Want {
        local: Some("in"),
        ongoing: Some(true),
        ..want
    })
}

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "U1",
        "the sender's interface is set down",
        no_route(),
        || loses_its_way("link set eth0 down\n"),
    ),
    scenario("U2", "the sender's address is removed", no_route(), || {
        loses_its_way("address flush dev eth0\n")
    }),
    scenario(
        "U3",
        "the sender's interface is deleted",
        no_route(),
        || loses_its_way("link del eth0\n"),
    ),
    scenario(
        "A6",
        "two narrow places in a row, the first heeded, the second silent",
        finds(Want::hole(SECOND).silent().direction("download").unfixed()),
        two_in_a_row,
    ),
];

const SECOND: Place = Place {
    role: "c1",
    ingress: None,
    egress: DeepLab::PORT,
    function: "__dev_forward_skb2",
    limit_bytes: 1400,
    packet_bytes: 1450,
};

/// The connection is open, and then the container's way out goes.
fn loses_its_way(change: &'static str) -> Result<Traffic> {
    let lab = Nested::default().build()?;
    traffic(move || {
        let connection = lab.open(&UPLOAD)?;
        lab.inside()?.ip(change)?;
        let outcome = push(connection, &UPLOAD)?;
        hung(lab, UPLOAD, outcome)
    })
}

fn two_in_a_row() -> Result<Traffic> {
    let mut deep = Deep::default();
    deep.levels[0] = Level::of(1450);
    deep.levels[1] = Level {
        container: 1400,
        port: 1450,
    };
    hangs(deep.build()?, DOWNLOAD)
}
