//! A day of a busy CI machine in some minutes: what a trace that runs all along takes of the machine, and
//! whether it still says what is right at the end.
//!
//! `cargo xtask bench soak` runs it. The argument is a number of hours; 24 without any.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use lab::scratch::Scratch;
use lab::topology::{Node, NodeLab};
use lab::tracer::Tracer;
use lab::traffic::{self, Transfer};
use lab::usage::Usage;
use lab::{binary, link};

/// A container of a job step every half a minute, and what it downloads.
const CONTAINERS_AN_HOUR: usize = 120;
const DOWNLOADS: usize = 30;
/// Their ports, so that none is used again while the kernel remembers it.
const FIRST_PORT: u16 = 8000;
const PORTS: usize = 20_000;
/// One container in so many has an interface that is smaller than the other end of its link.
const BROKEN: usize = 20;
/// What a healthy download has, and one that hangs; how long that is looked at.
const SMALL: Transfer = Transfer::download(2_000).within(Duration::from_secs(20));
const HANGS: Transfer = Transfer::download(20_000).within(Duration::from_millis(1500));
/// Ends a trace that nobody ends.
const DURATION: &str = "4h";
/// How long the tracer may take to let go of the last namespace.
const SETTLE: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    // cargo itself adds `--bench`.
    let hours = env::args().skip(1).find(|it| !it.starts_with('-'));
    let hours: usize = hours.map_or(Ok(24), |hours| hours.parse().context("how many hours?"))?;
    let node = Node {
        exclusive: true,
        ..Node::default()
    }
    .build()?;
    let scratch = Scratch::new()?;
    let capture = scratch.path().join("day.pcapng").display().to_string();
    let kept = ["-o", &capture, "--max-size", "16M", "--max-files", "4"];
    let arguments = [&["--format", "json"][..], &kept].concat();
    let tracer = Tracer::start_for(DURATION, &binary::mtu_trace(), &arguments)?;
    let idle = tracer.usage(SETTLE, |_| true)?;
    let begun = Instant::now();
    println!(
        "hour  containers  connections  stalls  MTU changes  threads  descriptors  memory KiB  capture KiB"
    );
    let mut day = Day::default();
    show(0, &day, &idle, scratch.path())?;
    // What it takes after the first hour is what it may take.
    let mut first: Option<Usage> = None;
    for hour in 1..=hours {
        for _ in 0..CONTAINERS_AN_HOUR {
            day.container(&node)?;
        }
        let back = |usage: &Usage| {
            first.is_none_or(|first| {
                usage.threads <= first.threads && usage.descriptors <= first.descriptors
            })
        };
        let usage = tracer.usage(SETTLE, back)?;
        show(hour, &day, &usage, scratch.path())?;
        ensure!(back(&usage), "something leaks: {first:?} became {usage:?}");
        first.get_or_insert(usage);
    }
    let recording = tracer.stop()?;
    let findings = recording.findings(&node.lab);
    let told: u64 = findings
        .iter()
        .filter(|finding| finding.verdict == "mtu-black-hole")
        .map(|finding| finding.connections)
        .sum();
    let others = findings
        .iter()
        .filter(|finding| finding.verdict != "mtu-black-hole");
    let others: Vec<&str> = others.map(|finding| finding.verdict.as_str()).collect();
    println!(
        "{hours} hours in {:.0} s; stalls: {}, told: {told}; told besides: {others:?}; lost records: {}",
        begun.elapsed().as_secs_f64(),
        day.stalls,
        recording.report.capture.lost_events
    );
    ensure!(
        told == day.stalls as u64 && others.is_empty(),
        "what is told is not what happened"
    );
    Ok(())
}

/// What has happened so far.
#[derive(Default)]
struct Day {
    containers: usize,
    connections: usize,
    stalls: usize,
    changes: usize,
}

impl Day {
    /// One container from its start to its end.
    fn container(&mut self, node: &NodeLab) -> Result<()> {
        let number = self.containers;
        let container = node.container(number)?;
        container.connect(1500, 1500)?;
        for netns in [&container.netns, node.host()?] {
            // Segments go one by one, as from a network card.
            let device = if netns.role() == "host" {
                &container.port
            } else {
                NodeLab::CONTAINER
            };
            link::set_offloads(netns, device, false)?;
        }
        let mut last = None;
        for nth in 0..DOWNLOADS {
            let port = FIRST_PORT + u16::try_from((number * DOWNLOADS + nth) % PORTS)?;
            let outcome = container.run(&Transfer { port, ..SMALL })?;
            ensure!(outcome.completed(), "{outcome:?}");
            last = Some(outcome.connection);
        }
        self.connections += DOWNLOADS;
        // Wider where packets come from than where they go.
        let narrower = if number % BROKEN == BROKEN - 1 {
            1400
        } else {
            1500
        };
        node.host()?
            .ip(&format!("link set {} mtu {}\n", container.port, 9000))?;
        container
            .netns
            .ip(&format!("link set {} mtu {narrower}\n", NodeLab::CONTAINER))?;
        self.changes += 2;
        if narrower < 1500 {
            let connection = last.context("a connection is open")?;
            let outcome = traffic::push(connection, &HANGS)?;
            ensure!(outcome.hung(), "{outcome:?}");
            self.stalls += 1;
        }
        self.containers += 1;
        // All have one address: the next one must not meet this one, which ends when it is let go of by all.
        node.host()?.ip(&format!("link del {}\n", container.port))
    }
}

fn show(hour: usize, day: &Day, usage: &Usage, captures: &Path) -> Result<()> {
    let mut bytes = 0;
    for entry in fs::read_dir(captures)? {
        bytes += entry?.metadata()?.len();
    }
    println!(
        "{hour:>4}  {:>10}  {:>11}  {:>6}  {:>11}  {:>7}  {:>11}  {:>10}  {:>11}",
        day.containers,
        day.connections,
        day.stalls,
        day.changes,
        usage.threads,
        usage.descriptors,
        usage.resident_kib,
        bytes / 1024
    );
    Ok(())
}
