//! Selections: two faults at the same time, and only the one that was asked for in the report.

use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use lab::firewall::{Hook, drop_frag_needed};
use lab::topology::NestedLab;
use lab::tracer::{Recording, Tracer};
use lab::traffic::Transfer;
use serde_json::Value;

use crate::{DOWNLOAD, small_uplink};

/// What the second machine does: the same, on another port.
const SECOND: Transfer = Transfer {
    port: 8081,
    ..DOWNLOAD
};

/// Two machines with the same fault and the same addresses.
fn machines() -> Result<[NestedLab; 2]> {
    let machine = || -> Result<NestedLab> {
        let lab = small_uplink().build()?;
        drop_frag_needed(lab.host()?, Hook::Output)?;
        Ok(lab)
    };
    Ok([machine()?, machine()?])
}

/// Traces a stalled download on each, with these options.
fn recorded([first, second]: &[NestedLab; 2], options: &[&str]) -> Result<Recording> {
    let tracer = Tracer::start(options)?;
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(|| second.run(&SECOND));
        (first.run(&DOWNLOAD), other.join())
    });
    let other = other.map_err(|_| anyhow!("the second download panicked"))??;
    let one = one?;
    ensure!(one.hung() && other.hung(), "{one:?} {other:?}");
    tracer.stop()
}

/// Checks that one machine's fault is in the report, and the other's is only counted.
fn shows(recording: &Recording, shown: &NestedLab, hidden: &NestedLab) -> Result<()> {
    let verdicts = |lab: &NestedLab| -> Vec<String> {
        let findings = recording.findings(&lab.lab).into_iter();
        findings.map(|finding| finding.verdict.clone()).collect()
    };
    ensure!(
        verdicts(shown) == ["mtu-black-hole"] && verdicts(hidden).is_empty(),
        "{}",
        recording.everything()
    );
    let report: Value = serde_json::from_str(&recording.finished.stdout)?;
    let left_out = report["capture"]["selection"]["hidden_findings"].as_u64();
    ensure!(left_out >= Some(1), "{}", recording.everything());
    Ok(())
}

#[test]
fn namespace_by_name() -> Result<()> {
    let machines = machines()?;
    let [first, second] = &machines;
    let recording = recorded(&machines, &["--netns", first.inside()?.name()])?;
    shows(&recording, first, second)
}

#[test]
fn namespace_by_file_where_the_packets_die() -> Result<()> {
    let machines = machines()?;
    let [first, second] = &machines;
    let file = format!("/run/netns/{}", second.host()?.name());
    let recording = recorded(&machines, &["--netns", &file])?;
    shows(&recording, second, first)
}

#[test]
fn port() -> Result<()> {
    let machines = machines()?;
    let [first, second] = &machines;
    let recording = recorded(&machines, &["src", "port", "8081", "&&", "tcp"])?;
    shows(&recording, second, first)?;
    let none = recorded(&machines, &["--netns", first.inside()?.name(), "port 8081"])?;
    ensure!(none.report.findings.is_empty(), "{}", none.everything());
    Ok(())
}

#[test]
fn namespace_that_is_not_there_yet() -> Result<()> {
    let machines = machines()?;
    let recording = recorded(&machines, &["--netns", "no-such-namespace"])?;
    ensure!(recording.report.findings.is_empty());
    let said = &recording.finished.stderr;
    let line = said.lines().find(|line| line.contains("no-such-namespace"));
    let line = line.context("nothing is said of it")?;
    ensure!(line.contains("may still come"), "{line}");
    Ok(())
}
