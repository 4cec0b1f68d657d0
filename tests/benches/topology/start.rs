//! How long the start takes on a full node.

use std::time::Instant;

use anyhow::Result;
use lab::topology::Node;
use lab::tracer::Tracer;
use lab::{Netns, binary, command, link};
use mtu_trace::testing::{Depth, LinkKind, Watcher, monotonic_ns};
use rustix::process::Signal;

use crate::table::Table;

const NAMESPACES: usize = 300;
const PAIRS: usize = 1000;
const TIMES: usize = 5;

/// Builds a node with many containers and looks at it: once with nothing wrong, once with a port
/// whose smaller MTU makes a boundary of every other one.
pub fn measure(table: &mut Table) -> Result<()> {
    let node = Node::default().build()?;
    populate(node.host()?, node.lab.id())?;
    let mut looks = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        let mut watcher = Watcher::new()?;
        watcher.refresh(Depth::Everything, monotonic_ns())?;
        looks.push(begun.elapsed().as_secs_f64() * 1e3);
        let known = watcher.topology().namespaces.values();
        let pairs = known.flat_map(|netns| netns.links.values());
        let ends = pairs.filter(|link| link.kind == LinkKind::Veth).count();
        anyhow::ensure!(ends >= 2 * PAIRS, "only {ends} ends of veths were found");
    }
    let size = format!("{NAMESPACES} namespaces, {PAIRS} veth pairs");
    table.series(
        "start: first look",
        "ms",
        looks,
        &format!("Watcher::new and refresh(Everything) with {size}"),
    );
    record(
        table,
        "start: ready",
        &format!("{size}: from exec to the ready file"),
    )?;
    link::set_mtu(node.host()?, "n0", 1450)?;
    record(
        table,
        "start: ready, all boundaries",
        &format!("the same where {NAMESPACES} ports lead to one with MTU 1450"),
    )
}

fn record(table: &mut Table, name: &str, meaning: &str) -> Result<()> {
    let mut starts = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        let tracer = Tracer::start_binary(&binary::mtu_trace(), &["--format", "json"])?;
        starts.push(begun.elapsed().as_secs_f64() * 1e3);
        tracer.end_by(Signal::INT)?;
    }
    table.series(name, "ms", starts, meaning);
    Ok(())
}

/// One pair of each container leads to the host's bridge; the others are inside.
fn populate(host: &Netns, id: &str) -> Result<()> {
    let names: Vec<String> = (0..NAMESPACES).map(|it| format!("{id}-n{it}")).collect();
    let made: String = names
        .iter()
        .map(|name| format!("netns add {name}\n"))
        .collect();
    command::run_with_input("ip", &["-batch", "-"], &made)?;
    let mut ports = String::new();
    for (number, name) in names.iter().enumerate() {
        ports.push_str(&format!(
            "link add n{number} type veth peer name eth0 netns {name}\n\
             link set n{number} master br0\nlink set n{number} up\n"
        ));
    }
    ports.push_str("link set br0 mtu 1500\n");
    host.ip(&ports)?;
    for (number, name) in names.iter().enumerate() {
        let own = (PAIRS - NAMESPACES) / NAMESPACES;
        let more = usize::from(number < (PAIRS - NAMESPACES) % NAMESPACES);
        let mut inside = "link set lo up\nlink set eth0 up\n".to_owned();
        for pair in 0..own + more {
            inside.push_str(&format!(
                "link add a{pair} type veth peer name b{pair}\n\
                 link set a{pair} up\nlink set b{pair} up\n"
            ));
        }
        command::run_with_input("ip", &["-n", name, "-batch", "-"], &inside)?;
    }
    Ok(())
}
