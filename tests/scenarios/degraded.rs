//! What a trace says that lacks something: one clear line for each, and the rest works.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::binary::mtu_trace;
use lab::firewall::{Hook, drop_frag_needed};
use lab::process::{Finished, finish};
use lab::report::Confidence;
use lab::tracer::{Recording, Tracer};
use serde_json::Value;

use crate::record_cli::LIMIT;
use crate::{DOWNLOAD, small_uplink};

/// Capabilities, and whether a trace goes on without one.
const CAPABILITIES: [(&str, bool); 7] = [
    ("CAP_SYS_ADMIN", false),
    ("CAP_NET_ADMIN", false),
    ("CAP_NET_BROADCAST", false),
    // CAP_SYS_ADMIN does as well.
    ("CAP_BPF", true),
    ("CAP_PERFMON", true),
    ("CAP_SYS_PTRACE", true),
    ("CAP_SYSLOG", true),
];

/// mtu-trace as root without some capabilities.
fn without(capabilities: &[&str], arguments: &[&str]) -> Result<Finished> {
    let dropped = capabilities.iter().map(|name| {
        let name = name.trim_start_matches("CAP_").to_lowercase();
        format!("-{name}")
    });
    let dropped: Vec<String> = dropped.collect();
    finish(
        Command::new("setpriv")
            .args(["--bounding-set", &dropped.join(",")])
            .arg(mtu_trace())
            .args(arguments),
        LIMIT,
    )
}

/// The hooks that `doctor` lists.
fn hooks(options: &[&str]) -> Result<Vec<Value>> {
    let mut doctor = Command::new(mtu_trace());
    doctor.args(["doctor", "--format", "json"]).args(options);
    let doctor: Value = serde_json::from_str(&finish(&mut doctor, LIMIT)?.stdout)?;
    let hooks = doctor["hooks"].as_array().cloned();
    hooks.context("doctor lists no hooks")
}

/// The lines that say that something is missing.
fn missing(doctor: &Finished) -> Vec<&str> {
    let lines = doctor.stdout.lines();
    lines.filter(|line| line.starts_with("MISS CAP_")).collect()
}

#[test]
fn doctor_answers_each_missing_capability_with_one_line() -> Result<()> {
    let _shared = Lab::new()?;
    for (name, _) in CAPABILITIES {
        // Those that CAP_SYS_ADMIN stands for are missing without it only.
        let both = [name, "CAP_SYS_ADMIN"];
        let is_covered = matches!(name, "CAP_BPF" | "CAP_PERFMON");
        let dropped = if is_covered { &both[..] } else { &both[..1] };
        let doctor = without(dropped, &["doctor"])?;
        ensure!(doctor.code() == Some(0), "{doctor:?}");
        let missing = missing(&doctor);
        ensure!(missing.len() == dropped.len(), "{name}: {missing:?}");
        let line = missing.iter().find(|line| line.contains(name));
        let line = line.with_context(|| format!("{name}: {missing:?}"))?;
        ensure!(line.contains("missing: "), "{name} is for nothing: {line}");
    }
    Ok(())
}

#[test]
fn a_trace_without_a_capability_works_or_says_why_not_in_one_line() -> Result<()> {
    let _shared = Lab::new()?;
    for (name, works) in CAPABILITIES {
        let arguments = ["record", "--duration", "1s", "--format", "json"];
        let finished = without(&[name], &arguments)?;
        if works {
            let recording = Recording::read(finished).with_context(|| format!("without {name}"))?;
            let hooks = &recording.report.capture.hooks;
            let missed = hooks.iter().find(|hook| !hook.attached && !hook.optional);
            ensure!(missed.is_none(), "without {name}: {missed:?}");
            continue;
        }
        ensure!(finished.code() == Some(1), "without {name}: {finished:?}");
        let lines: Vec<&str> = finished.stderr.lines().collect();
        ensure!(
            lines.len() == 1 && lines[0].contains(name),
            "without {name}: {lines:#?}"
        );
    }
    Ok(())
}

/// The notes of a report, which has none if there is nothing to be told.
fn notes(recording: &Recording) -> Result<Vec<String>> {
    let report: Value = serde_json::from_str(&recording.finished.stdout)?;
    let Some(notes) = report["capture"]["notes"].as_array() else {
        return Ok(Vec::new());
    };
    Ok(notes
        .iter()
        .map(|note| note.as_str().unwrap_or_default().to_owned())
        .collect())
}

#[test]
fn without_names_of_functions_the_verdict_is_right_and_less_sure() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let whole = Tracer::start(&[])?;
    let blind = Tracer::start_without("syslog", &[])?;
    let outcome = lab.run(&DOWNLOAD)?;
    ensure!(outcome.hung(), "{outcome:?}");
    let (whole, blind) = (whole.stop()?, blind.stop()?);
    let confidence = |recording: &Recording| -> Result<Confidence> {
        let findings = recording.findings(&lab.lab);
        let hole = findings.iter().find(|it| it.verdict == "mtu-black-hole");
        Ok(hole.with_context(|| recording.everything())?.confidence)
    };
    ensure!(confidence(&whole)? == Confidence::Confirmed);
    ensure!(confidence(&blind)? < Confidence::Confirmed);
    ensure!(notes(&whole)?.is_empty(), "{}", whole.everything());
    let notes = notes(&blind)?;
    ensure!(
        notes.len() == 1 && notes[0].contains("CAP_SYSLOG"),
        "{notes:?}"
    );
    Ok(())
}

#[test]
fn without_other_users_processes_the_report_says_what_may_be_unseen() -> Result<()> {
    let _shared = Lab::new()?;
    let arguments = ["record", "--duration", "1s", "--format", "json"];
    let recording = Recording::read(without(&["CAP_SYS_PTRACE"], &arguments)?)?;
    let notes = notes(&recording)?;
    ensure!(
        notes.len() == 1 && notes[0].contains("CAP_SYS_PTRACE"),
        "{notes:?}"
    );
    Ok(())
}

/// A limit on locked memory matters before Linux 5.11 only; later it must not.
#[test]
fn a_small_limit_on_locked_memory_is_no_hindrance() -> Result<()> {
    let _shared = Lab::new()?;
    let finished = finish(
        Command::new("prlimit")
            .args(["--memlock=65536:65536"])
            .arg(mtu_trace())
            .args(["record", "--duration", "1s", "--format", "json"]),
        LIMIT,
    )?;
    let recording = Recording::read(finished)?;
    let hooks = &recording.report.capture.hooks;
    ensure!(
        hooks.iter().all(|hook| hook.attached || hook.optional),
        "{}",
        recording.everything()
    );
    Ok(())
}

/// As in a kernel that is locked down: it lets no program read its memory.
#[test]
fn without_any_hook_sockets_and_the_map_are_left() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let hooks = hooks(&[])?;
    let names = hooks.iter().filter_map(|hook| hook["hook"].as_str());
    let options: Vec<&str> = names.flat_map(|name| ["--without", name]).collect();
    let tracer = Tracer::start(&options)?;
    // Sockets are looked for every five seconds.
    let outcome = lab.run(&DOWNLOAD.within(Duration::from_secs(9)))?;
    ensure!(outcome.hung(), "{outcome:?}");
    let recording = tracer.stop()?;
    let findings = recording.findings(&lab.lab);
    let hole = findings.iter().find(|it| it.verdict == "mtu-black-hole");
    let hole = hole.with_context(|| recording.everything())?;
    ensure!(
        hole.confidence == Confidence::Suspected && hole.evidence.oversized_drops == 0,
        "{}",
        recording.everything()
    );
    let said = recording.finished.stderr.lines();
    let said: Vec<&str> = said.filter(|line| line.contains("hook")).collect();
    ensure!(
        said.len() == 2 && said[0].contains("no hook is attached: left out"),
        "{said:#?}"
    );
    Ok(())
}

/// One mechanism forced: each hook has it, or says that the kernel has none of it; the others work.
#[test]
fn a_mechanism_that_is_asked_for_is_used_or_told_to_be_missing() -> Result<()> {
    let _shared = Lab::new()?;
    for (mechanism, forms) in [
        ("kprobe", ["kprobe", "kretprobe"]),
        ("fentry", ["fentry", "fexit"]),
    ] {
        let hooks = hooks(&["--mechanism", mechanism])?;
        for hook in &hooks {
            let (name, detail) = (&hook["hook"], hook["detail"].as_str().unwrap_or_default());
            let attached = hook["attached"] == true;
            // There is no such form of these.
            let other = name.as_str().is_some_and(|it| it.starts_with("tc:"))
                || (mechanism == "fentry" && name == "skb:kfree_skb");
            let form = hook["mechanism"].as_str().unwrap_or_default();
            ensure!(other || forms.contains(&form), "{name} by {form}");
            ensure!(
                attached || detail.contains(mechanism),
                "{name} is not attached: {detail}"
            );
            ensure!(attached || hook["lost"].is_string(), "{name}: nothing lost");
        }
        let tc = hooks.iter().find(|hook| hook["hook"] == "tc:ingress");
        ensure!(tc.is_some_and(|hook| hook["attached"] == true), "{hooks:?}");
    }
    Ok(())
}
