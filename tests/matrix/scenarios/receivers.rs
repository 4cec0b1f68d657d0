//! Receivers with little room, or that do not get to read.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::address::Family;
use lab::connection::Connection;
use lab::paused::Reader;
use lab::topology::{Nested, NestedLab};
use lab::traffic::{Transfer, carry};
use lab::udp::{self, Datagrams};

use super::{DOWNLOAD, completed, finds, once, scenario, traffic};
use crate::scenario::{Expect, Scenario, Want};

const LIMIT: Duration = Duration::from_secs(5);

/// How long a window stays closed: longer than is daily life.
const HELD: Duration = Duration::from_secs(5);
/// A receive buffer that does not hold two full-size segments; the kernel makes the double of it.
const TINY: usize = 2048;

const STALLED: Want = Want {
    local: Some("in"),
    ..Want::new("receiver-stalled", "info").direction("download")
};

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "P1",
        "a receiver whose process is stopped",
        finds(STALLED),
        || {
            let lab = Nested::default().build()?;
            traffic(move || {
                let reader = paused(&lab)?;
                std::thread::park_timeout(HELD);
                Ok(once(lab, vec![Box::new(reader)]))
            })
        },
    ),
    scenario(
        "P2",
        "a receiver whose process is stopped and goes on",
        Expect::Nothing,
        || {
            let lab = Nested::default().build()?;
            traffic(move || {
                let reader = paused(&lab)?;
                reader.resume()?;
                reader.finish(LIMIT)?;
                Ok(once(lab, Vec::new()))
            })
        },
    ),
    scenario(
        "P3",
        "a receiver with a tiny buffer",
        Expect::Nothing,
        || {
            let lab = Nested::default().build()?;
            let transfer = Transfer::download(100_000).within(Duration::from_secs(20));
            let server = SocketAddr::new(lab.server_address(Family::V4), transfer.port);
            traffic(move || {
                let (near, far) = (lab.inside()?, lab.server()?);
                let connection = Connection::open_small(near, far, server, TINY, transfer.limit)?;
                completed(lab, transfer, carry(connection, &transfer)?)
            })
        },
    ),
    // Nobody sends again what is lost, so nothing stalls, and its size is not to blame.
    scenario(
        "P4",
        "a buffer of datagrams that overflows",
        Expect::Nothing,
        || {
            let lab = Nested::default().build()?;
            let address = lab.server_address(Family::V4);
            let datagrams = Datagrams {
                count: 100,
                ..Datagrams::full(Family::V4)
            };
            traffic(move || {
                let unread = udp::overflow(lab.inside()?, lab.server()?, address, &datagrams)?;
                Ok(once(lab, vec![Box::new(unread)]))
            })
        },
    ),
];

fn paused(lab: &NestedLab) -> Result<Reader> {
    let address = lab.server_address(Family::V4);
    let reader = Reader::start(lab.inside()?, lab.server()?, address, DOWNLOAD.port, LIMIT)?;
    reader.pause()?;
    let sent = reader.fill(LIMIT)?;
    ensure!(sent > 0, "nothing was sent");
    Ok(reader)
}
