//! Nothing of ours stays behind, and nothing of others is touched, however the tracer ends.
//!
//! These labs are exclusive: a tracer that starts elsewhere removes leftovers too.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya::programs::SchedClassifier;
use aya::programs::tc::TcAttachType;
use lab::Netns;
use lab::topology::{Nested, NestedLab};
use lab::tracer::Tracer;
use rustix::process::Signal;

const DEFAULT: &[&str] = &[];
const CLSACT: &[&str] = &["--mechanism", "clsact"];

fn lab() -> Result<NestedLab> {
    // Only where a larger packet can come by a smaller limit is anything attached.
    Nested {
        uplink: 1450,
        port: 1450,
        exclusive: true,
        ..Nested::default()
    }
    .build()
}

/// Every tc and tcx attachment, filter and qdisc in the lab, and every pinned object of the machine,
/// a line each.
fn state(lab: &NestedLab) -> Result<String> {
    let mut state = String::new();
    for netns in lab.lab.namespaces() {
        for device in devices(netns)? {
            let place = format!("{}/{device}", netns.role());
            let lines = [
                netns.tc(&["qdisc", "show", "dev", &device])?,
                netns.tc(&["filter", "show", "dev", &device, "ingress"])?,
                netns.tc(&["filter", "show", "dev", &device, "egress"])?,
                tcx(netns, &device)?,
            ]
            .concat();
            for line in lines.lines() {
                state.push_str(&format!("{place}: {line}\n"));
            }
        }
    }
    pinned(Path::new("/sys/fs/bpf"), &mut state)?;
    Ok(state)
}

fn devices(netns: &Netns) -> Result<Vec<String>> {
    let text = netns.ip_output(&["-j", "link", "show"])?;
    let links: serde_json::Value = serde_json::from_str(&text).context("ip's JSON")?;
    let links = links.as_array().context("ip's JSON has no list")?;
    Ok(links
        .iter()
        .filter_map(|link| link["ifname"].as_str().map(str::to_owned))
        .collect())
}

fn tcx(netns: &Netns, device: &str) -> Result<String> {
    netns.run(|| {
        let mut lines = String::new();
        for way in [TcAttachType::Ingress, TcAttachType::Egress] {
            let (_, programs) = SchedClassifier::query_tcx(device, way)
                .with_context(|| format!("asking for the tcx programs of {device}"))?;
            for program in programs {
                lines.push_str(&format!("tcx {way:?} {:?}\n", program.name_as_str()));
            }
        }
        Ok(lines)
    })
}

fn pinned(directory: &Path, state: &mut String) -> Result<()> {
    // A machine without a mounted BPF file system has an empty directory, or none.
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry.context("reading the BPF file system")?.path();
        state.push_str(&format!("pinned {}\n", path.display()));
        if path.is_dir() {
            pinned(&path, state)?;
        }
    }
    Ok(())
}

/// A clsact qdisc with a filter in each direction, as a CNI would have it.
fn add_foreign_filters(lab: &NestedLab) -> Result<()> {
    let host = lab.host()?;
    for device in [
        NestedLab::EXTERNAL,
        NestedLab::OUTER_PORT,
        NestedLab::OUTER_BRIDGE,
    ] {
        host.tc(&["qdisc", "add", "dev", device, "clsact"])?;
        for way in ["ingress", "egress"] {
            // u32 is the one classifier that every kernel has.
            let filter = "protocol ip prio 7 u32 match ip protocol 6 0xff classid 1:7";
            let arguments = ["filter", "add", "dev", device, way];
            let arguments: Vec<&str> = arguments.into_iter().chain(filter.split(' ')).collect();
            host.tc(&arguments)?;
        }
    }
    Ok(())
}

/// Starts a tracer, checks that it attached something as `mark` says, and ends it by `signal`.
fn attach_and_end(lab: &NestedLab, options: &[&str], mark: &str, signal: Signal) -> Result<()> {
    let before = state(lab)?;
    let tracer = Tracer::start(options)?;
    let during = state(lab)?;
    let count = |text: &str| text.matches(mark).count();
    ensure!(
        count(&during) > count(&before),
        "nothing was attached with {mark}:\n{during}"
    );
    let finished = tracer.end_by(signal)?;
    let expected = if signal == Signal::KILL {
        None
    } else {
        Some(0)
    };
    ensure!(finished.code() == expected, "{finished:?}");
    Ok(())
}

fn same(lab: &NestedLab, before: &str) -> Result<()> {
    let after = state(lab)?;
    ensure!(after == before, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

#[test]
fn default_mechanism_leaves_nothing() -> Result<()> {
    let lab = lab()?;
    let before = state(&lab)?;
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        attach_and_end(&lab, DEFAULT, "tcx ", signal)?;
        same(&lab, &before).with_context(|| format!("after {signal:?}"))?;
    }
    Ok(())
}

#[test]
fn clsact_leaves_nothing() -> Result<()> {
    let lab = lab()?;
    let before = state(&lab)?;
    for signal in [Signal::INT, Signal::TERM] {
        attach_and_end(&lab, CLSACT, " bpf ", signal)?;
        same(&lab, &before).with_context(|| format!("after {signal:?}"))?;
    }
    Ok(())
}

#[test]
fn next_start_removes_what_a_killed_one_left() -> Result<()> {
    let lab = lab()?;
    let before = state(&lab)?;
    for next in [CLSACT, DEFAULT] {
        attach_and_end(&lab, CLSACT, " bpf ", Signal::KILL)?;
        ensure!(
            state(&lab)? != before,
            "nothing was left, so nothing can be shown"
        );
        Tracer::start(next)?.end_by(Signal::INT)?;
        same(&lab, &before).with_context(|| format!("after a start with {next:?}"))?;
    }
    Ok(())
}

#[test]
fn foreign_filters_are_untouched() -> Result<()> {
    let lab = lab()?;
    add_foreign_filters(&lab)?;
    let before = state(&lab)?;
    ensure!(
        before.matches("u32").count() >= 6,
        "the foreign filters are not there:\n{before}"
    );
    for (options, mark) in [(DEFAULT, "tcx "), (CLSACT, " bpf ")] {
        for signal in [Signal::INT, Signal::TERM] {
            attach_and_end(&lab, options, mark, signal)?;
            same(&lab, &before).with_context(|| format!("{options:?} after {signal:?}"))?;
        }
    }
    attach_and_end(&lab, CLSACT, " bpf ", Signal::KILL)?;
    Tracer::start(DEFAULT)?.end_by(Signal::INT)?;
    same(&lab, &before).context("after SIGKILL and the next start")
}
