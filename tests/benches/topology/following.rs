//! Containers that start during the trace: what is known of them and covered, and when.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::topology::NodeLab;
use lab::traffic;
use mtu_trace::testing::monotonic_ns;

use crate::monitor::Monitor;
use crate::observed::Observed;
use crate::table::Table;

const CONTAINERS: usize = 100;
const PORT: u16 = 8080;
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Starts containers whose ends are smaller than the host's, each with a handshake at once.
pub fn measure(node: &NodeLab, observed: &Observed, table: &mut Table) -> Result<()> {
    let address = SocketAddr::new(node.server_address(), PORT);
    let listener = traffic::listen(node.server()?, address)?;
    let monitor = Monitor::start(node.host()?)?;
    let (host, _) = observed.named(node.host()?.name())?;
    let mut times = Times::default();
    for number in 0..CONTAINERS {
        let container = node.container(number)?;
        let (shaken_ns, created_ns) = monitor.time(&container.port, || {
            container.connect(1450, 1500)?;
            let connection = traffic::connect(&container.netns, address, HANDSHAKE)?
                .context("the handshake failed")?;
            let now_ns = monotonic_ns();
            drop(connection);
            Ok(now_ns)
        })?;
        drop(listener.accept().context("accepting")?);
        let (_, named_ns) = observed.named(container.netns.name())?;
        let (ifindex, _) = observed.link(host, &container.port, None)?;
        let covered = observed.covered((host, ifindex), |it| {
            it.is_some_and(|covered| covered.whole_ns != 0)
        })?;
        times.add(
            created_ns,
            [
                named_ns,
                covered.limits_ns,
                covered.limited_ns,
                covered.whole_ns,
                shaken_ns,
            ],
        );
        drop(container);
        observed.covered((host, ifindex), |it| it.is_none())?;
    }
    times.tell(table);
    Ok(())
}

/// The same handshakes with no trace. Attachments hold the lock that a container's set-up needs, so
/// that one beside a trace has more time than it would have.
pub fn control(node: &NodeLab, table: &mut Table) -> Result<()> {
    let address = SocketAddr::new(node.server_address(), PORT);
    let listener = traffic::listen(node.server()?, address)?;
    let monitor = Monitor::start(node.host()?)?;
    let mut times = Vec::new();
    for number in 0..CONTAINERS {
        let container = node.container(number)?;
        let (shaken_ns, created_ns) = monitor.time(&container.port, || {
            container.connect(1450, 1500)?;
            let connection = traffic::connect(&container.netns, address, HANDSHAKE)?
                .context("the handshake failed")?;
            let now_ns = monotonic_ns();
            drop(connection);
            Ok(now_ns)
        })?;
        // A connection that only one end has closed would keep the container's link alive.
        drop(listener.accept().context("accepting")?);
        times.push(milliseconds(shaken_ns.saturating_sub(created_ns)));
    }
    table.series(
        "control: handshake ended",
        "ms",
        times,
        "as below, but on a host without a trace",
    );
    Ok(())
}

/// For each container the times after its link's creation, ns.
#[derive(Default)]
struct Times(Vec<[u64; 5]>);

impl Times {
    fn add(&mut self, zero_ns: u64, times_ns: [u64; 5]) {
        self.0
            .push(times_ns.map(|time_ns| time_ns.saturating_sub(zero_ns)));
    }

    fn tell(&self, table: &mut Table) {
        let names = [
            (
                "following: named",
                "the topology has the namespace by its name (0: before)",
            ),
            (
                "following: limit set",
                "the boundary device's limit is in the kernel's map",
            ),
            (
                "following: limited direction",
                "tc is attached in the direction that has a limit",
            ),
            ("following: both directions", "tc is attached in both"),
            (
                "following: handshake ended",
                "the container's first connection is open",
            ),
        ];
        for (index, (name, meaning)) in names.into_iter().enumerate() {
            let values = self.0.iter().map(|times| milliseconds(times[index]));
            let meaning = format!("{meaning}, after the link's creation");
            table.series(name, "ms", values.collect(), &meaning);
        }
        let before = |index: usize| self.0.iter().filter(|it| it[index] <= it[4]).count();
        let of = format!("of {} containers", self.0.len());
        for (name, index) in [
            ("following: named in time", 0),
            ("following: limited in time", 2),
            ("following: both in time", 3),
        ] {
            let meaning = format!("{of}, before their first handshake ended");
            table.count(name, "cases", before(index), &meaning);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "times here are short")]
pub fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}
