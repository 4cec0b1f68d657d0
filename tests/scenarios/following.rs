//! What changes during the trace: containers that come and go, and MTUs set by hand.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::link;
use lab::report::{Finding, NetnsId};
use lab::topology::{Node, NodeLab};
use lab::tracer::{Recording, Tracer};
use lab::usage::Usage;
use rustix::process::Signal;

use crate::{DOWNLOAD, UPLOAD};

/// How long the tracer may take to let go of a container.
const SETTLE: Duration = Duration::from_secs(20);
/// Programs that stay where a container was the boundary's other side: two on the bridge and two on
/// the uplink.
const KEPT: usize = 4;

/// A machine to itself: to be covered and named in some milliseconds is a matter of how soon the kernel
/// answers, and every other tracer keeps it waiting for a lock of its own (RTNL).
const ALONE: Node = Node {
    external: 1500,
    exclusive: true,
};
const NARROW_UPLINK: Node = Node {
    external: 1450,
    ..ALONE
};

/// The one finding about the connection of this client's port.
fn finding<'a>(
    recording: &'a Recording,
    node: &NodeLab,
    port: u16,
    verdict: &str,
) -> Result<&'a Finding> {
    let own = |finding: &&&Finding| {
        finding
            .connection
            .as_ref()
            .is_some_and(|it| it.local.port == port)
    };
    let findings = recording.findings(&node.lab);
    let mut found = findings.iter().filter(own);
    let first = found.next().with_context(|| recording.everything())?;
    ensure!(
        first.verdict == verdict && found.next().is_none(),
        "not one {verdict}\n{}",
        recording.everything()
    );
    Ok(first)
}

/// Checks that a finding names the container, the host, and the host's device with its limit.
fn blames(finding: &Finding, container: &str, host: &str, egress: &str, limit: u32) -> Result<()> {
    fn name(netns: Option<&NetnsId>) -> Option<&str> {
        netns?.name.as_deref()
    }
    let connection = finding.connection.as_ref().context("no connection")?;
    let boundary = finding.boundary.as_ref().context("no boundary")?;
    let got = (
        name(connection.local.netns.as_ref()),
        name(Some(&boundary.netns)),
        boundary.egress.as_deref(),
        boundary.limit_bytes,
    );
    let expected = (Some(container), Some(host), Some(egress), limit);
    ensure!(
        got == expected,
        "{got:?} instead of {expected:?}\n{finding:#?}"
    );
    Ok(())
}

/// A container that was there for some milliseconds.
#[derive(Debug)]
struct Life {
    name: String,
    /// Of its one connection.
    port: u16,
    lasted: Duration,
}

/// A container that uploads and is gone at once, with its socket, which would keep it alive.
fn short_life(node: &NodeLab, number: usize) -> Result<Life> {
    let container = node.container(number)?;
    let born = Instant::now();
    container.connect(1500, 1500)?;
    let outcome = container.run(&UPLOAD)?;
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    let port = outcome.client.port();
    drop(outcome);
    let name = container.netns.name().to_owned();
    drop(container);
    let lasted = born.elapsed();
    Ok(Life { name, port, lasted })
}

#[test]
fn a_container_of_some_milliseconds_is_named() -> Result<()> {
    let node = NARROW_UPLINK.build()?;
    let tracer = Tracer::start(&[])?;
    let life = short_life(&node, 0)?;
    let recording = tracer.stop()?;
    let found = finding(&recording, &node, life.port, "pmtud-working")?;
    let host = node.host()?.name();
    blames(found, &life.name, host, NodeLab::EXTERNAL, 1450)
        .with_context(|| format!("it was there for {:?}", life.lasted))
}

#[test]
fn containers_that_follow_each_other_keep_their_own_names() -> Result<()> {
    // The same address, link-layer address and perhaps inode number: all but the name and the port.
    let node = NARROW_UPLINK.build()?;
    let tracer = Tracer::start(&[])?;
    let lives: Vec<_> = (0..5)
        .map(|number| short_life(&node, number))
        .collect::<Result<_>>()?;
    let recording = tracer.stop()?;
    // They share the cause; whichever stands for all must be by its own name.
    let mut found = Vec::new();
    for life in &lives {
        if let Ok(finding) = finding(&recording, &node, life.port, "pmtud-working") {
            let host = node.host()?.name();
            blames(finding, &life.name, host, NodeLab::EXTERNAL, 1450)?;
            found.push(finding);
        }
    }
    let connections: u64 = found.iter().map(|finding| finding.connections).sum();
    ensure!(
        connections == 5,
        "{connections} connections instead of 5: {lives:?}\n{}",
        recording.everything()
    );
    Ok(())
}

#[test]
fn an_mtu_set_by_hand_is_the_limit_at_once() -> Result<()> {
    let node = NARROW_UPLINK.build()?;
    let container = node.container(0)?;
    container.connect(1500, 1500)?;
    let tracer = Tracer::start(&[])?;
    link::set_mtu(node.host()?, NodeLab::EXTERNAL, 1400)?;
    let outcome = container.run(&UPLOAD)?;
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    let recording = tracer.stop()?;
    let found = finding(&recording, &node, outcome.client.port(), "pmtud-working")?;
    let (name, host) = (container.netns.name(), node.host()?.name());
    blames(found, name, host, NodeLab::EXTERNAL, 1400)?;
    let hop = found
        .path
        .iter()
        .find(|hop| hop.interface == NodeLab::EXTERNAL)
        .context("the way does not lead through the device")?;
    ensure!(hop.mtu_bytes == 1400, "{hop:?}");
    Ok(())
}

#[test]
fn a_new_containers_boundary_is_covered() -> Result<()> {
    let node = ALONE.build()?;
    let tracer = Tracer::start(&[])?;
    let container = node.container(0)?;
    // The bridge sends what its port cannot.
    container.connect(1500, 1450)?;
    let outcome = container.run(&DOWNLOAD)?;
    ensure!(outcome.hung(), "should hang: {outcome:?}");
    let recording = tracer.stop()?;
    let found = finding(&recording, &node, outcome.client.port(), "mtu-black-hole")?;
    let (name, host) = (container.netns.name(), node.host()?.name());
    blames(found, name, host, &container.port, 1450)?;
    ensure!(
        found.evidence.oversized_seen > 0,
        "tc saw nothing\n{}",
        recording.everything()
    );
    Ok(())
}

#[test]
fn nothing_is_left_of_containers_that_are_gone() -> Result<()> {
    // Boundaries of other labs would come and go meanwhile.
    let node = ALONE.build()?;
    let tracer = Tracer::start(&[])?;
    let idle = tracer.usage(SETTLE, |_| true)?;
    // A tracer that follows nothing has nothing to leave either.
    let first = node.container(0)?;
    first.connect(1450, 1500)?;
    let busy = tracer.usage(SETTLE, |usage| usage.descriptors > idle.descriptors)?;
    ensure!(
        busy.descriptors > idle.descriptors,
        "nothing is attached: {busy:?}"
    );
    drop(first);
    for number in 1..=100 {
        node.container(number)?.connect(1450, 1500)?;
    }
    let settled = |usage: &Usage| {
        usage.threads <= idle.threads && usage.descriptors <= idle.descriptors + KEPT
    };
    let after = tracer.usage(SETTLE, settled)?;
    ensure!(settled(&after), "at first {idle:?}, then {after:?}");
    tracer.end_by(Signal::INT)?;
    Ok(())
}
