//! The command line as scripts see it: statuses, and one clear message for what goes wrong.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::binary::mtu_trace;
use lab::firewall::{Hook, drop_frag_needed};
use lab::process::{Finished, finish};
use lab::scratch::Scratch;
use lab::topology::Nested;
use lab::tracer::{Recording, Tracer};
use rustix::process::Signal;

use crate::{DOWNLOAD, small_uplink};

pub(crate) const LIMIT: Duration = Duration::from_secs(40);

pub(crate) fn run(arguments: &[&str]) -> Result<Finished> {
    finish(Command::new(mtu_trace()).args(arguments), LIMIT)
}

/// Checks for status `code` and a message, on standard error alone, that has all of `words`.
pub(crate) fn fails(finished: &Finished, code: i32, words: &[&str]) -> Result<()> {
    let message = finished.stderr.to_lowercase();
    ensure!(
        finished.code() == Some(code),
        "status {code} expected: {finished:?}"
    );
    ensure!(
        finished.stdout.is_empty(),
        "nothing belongs on standard output: {finished:?}"
    );
    ensure!(
        !message.trim().is_empty() && !message.contains("panicked"),
        "{finished:?}"
    );
    for word in words {
        ensure!(
            message.contains(word),
            "the message does not say {word}: {finished:?}"
        );
    }
    Ok(())
}

/// One message is one thing said: a line, and perhaps what to do about it.
fn in_one_message(finished: &Finished) -> Result<()> {
    let lines = finished
        .stderr
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    ensure!(
        (1..=3).contains(&lines),
        "{lines} lines: {}",
        finished.stderr
    );
    Ok(())
}

#[test]
fn command_status_is_passed_on() -> Result<()> {
    let _shared = Lab::new()?;
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15)] {
        let finished = run(&["record", "--format", "json", "--", "sh", "-c", script])?;
        ensure!(finished.code() == Some(status), "{script}: {finished:?}");
        Recording::read_whatever_the_status(finished)
            .context("a report is printed all the same")?;
    }
    Ok(())
}

#[test]
fn duration_ends_the_recording() -> Result<()> {
    let _shared = Lab::new()?;
    let finished = run(&["record", "--format", "json", "--duration", "1s"])?;
    let capture = Recording::read(finished)?.report.capture;
    ensure!((1.0..5.0).contains(&capture.duration_s), "{capture:?}");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(
        release.starts_with(&capture.kernel),
        "{release} is not {}",
        capture.kernel
    );
    Ok(())
}

#[test]
fn text_report_names_the_fault() -> Result<()> {
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let tracer = Tracer::start_binary(&mtu_trace(), &["--format", "text"])?;
    let outcome = lab.run(&DOWNLOAD)?;
    let finished = tracer.end_by(Signal::INT)?;
    ensure!(finished.code() == Some(0) && outcome.hung(), "{finished:?}");
    for word in ["mtu-black-hole", "ip_forward", "1450", "1500", "OUTPUT"] {
        ensure!(
            finished.stdout.contains(word),
            "no {word} in {}",
            finished.stdout
        );
    }
    for netns in [lab.inside()?, lab.host()?] {
        ensure!(
            finished.stdout.contains(netns.name()),
            "no {} in {}",
            netns.name(),
            finished.stdout
        );
    }
    Ok(())
}

#[test]
fn exit_code_tells_of_an_error() -> Result<()> {
    let lab = Nested {
        exclusive: true,
        ..small_uplink()
    }
    .build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let tracer = Tracer::start(&["--exit-code"])?;
    let outcome = lab.run(&DOWNLOAD)?;
    let finished = tracer.end_by(Signal::INT)?;
    ensure!(finished.code() == Some(3) && outcome.hung(), "{finished:?}");
    Ok(())
}

#[test]
fn exit_code_is_silent_about_a_healthy_machine() -> Result<()> {
    let lab = Nested {
        exclusive: true,
        ..Nested::default()
    }
    .build()?;
    let tracer = Tracer::start(&["--exit-code"])?;
    let outcome = lab.run(&DOWNLOAD)?;
    let finished = tracer.end_by(Signal::INT)?;
    ensure!(
        finished.code() == Some(0) && outcome.completed(),
        "{finished:?}"
    );
    let passed_on = run(&["record", "--exit-code", "--", "sh", "-c", "exit 7"])?;
    ensure!(passed_on.code() == Some(7), "{passed_on:?}");
    Ok(())
}

#[test]
fn wrong_options_are_usage_errors() -> Result<()> {
    for arguments in [
        &["record", "--no-such-option"][..],
        &["record", "--format", "no-such-format"],
        &["record", "--duration", "soon"],
        &["no-such-command"],
    ] {
        let wrong = arguments.last().copied().unwrap_or_default();
        fails(&run(arguments)?, 2, &[wrong])?;
    }
    Ok(())
}

#[test]
fn wrong_filter_is_shown_with_its_place() -> Result<()> {
    let finished = run(&["record", "port", "80", "and", "hots", "192.0.2.1"])?;
    fails(&finished, 2, &["column 13", "`hots`", "host, net, port"])?;
    in_one_message(&finished)?;
    let lines: Vec<&str> = finished.stderr.lines().collect();
    ensure!(
        lines[1..] == ["  port 80 and hots 192.0.2.1", "              ^"],
        "{}",
        finished.stderr
    );
    // A command that was meant to be run.
    fails(&run(&["record", "docker", "build", "."])?, 2, &["after --"])
}

#[test]
fn namespaces_that_cannot_be_meant_are_one_message() -> Result<()> {
    for (option, value, wanted) in [
        ("--netns", "/dev/null", "not a namespace"),
        ("--netns", "/nowhere/at/all", "no such file"),
        ("--pid", "2147483647", "no such process"),
    ] {
        let finished = run(&["record", "--duration", "1s", option, value])?;
        fails(&finished, 1, &[option, value, wanted])?;
        in_one_message(&finished)?;
    }
    for arguments in [["--pid", "0"], ["--pid", "me"], ["--container", ""]] {
        let arguments = [&["record"], &arguments[..]].concat();
        fails(&run(&arguments)?, 2, &[arguments[1]])?;
    }
    Ok(())
}

#[test]
fn unreadable_btf_is_one_message() -> Result<()> {
    let finished = run(&["record", "--duration", "1s", "--btf", "/nonexistent"])?;
    fails(&finished, 1, &["btf", "/nonexistent"])?;
    in_one_message(&finished)
}

pub(crate) fn as_nobody(arguments: &[&str]) -> Result<Finished> {
    // The build directory may be where only root may look.
    let scratch = Scratch::new()?;
    let copy = scratch.install(&mtu_trace(), "mtu-trace")?;
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    finish(
        Command::new("setpriv")
            .args(nobody)
            .arg(copy)
            .args(arguments)
            .current_dir("/"),
        LIMIT,
    )
}

#[test]
fn without_root_is_one_message() -> Result<()> {
    let finished = as_nobody(&["record", "--duration", "1s"])?;
    fails(&finished, 1, &["root"])?;
    in_one_message(&finished)
}

#[test]
fn without_capabilities_is_one_message() -> Result<()> {
    let finished = finish(
        Command::new("setpriv")
            .args(["--bounding-set", "-sys_admin,-bpf,-perfmon"])
            .arg(mtu_trace())
            .args(["record", "--duration", "1s"]),
        LIMIT,
    )?;
    fails(&finished, 1, &["cap_"])?;
    in_one_message(&finished)
}

/// The hooks that a report stands on, by the names that the kernel gives them, and how each may be
/// attached.
const HOOKS: [(&str, &[&str]); 5] = [
    ("skb:kfree_skb", TRACEPOINT),
    ("tcp:tcp_retransmit_skb", TRACEPOINT),
    ("sock:inet_sock_set_state", TRACEPOINT),
    ("icmp:icmp_send", TRACEPOINT),
    ("tc", &["tcx", "clsact"]),
];
const TRACEPOINT: &[&str] = &["tracepoint", "tp_btf"];

#[test]
fn doctor_lists_every_hook_and_how_it_is_attached() -> Result<()> {
    let _shared = Lab::new()?;
    let finished = run(&["doctor"])?;
    ensure!(finished.code() == Some(0), "{finished:?}");
    for (hook, mechanisms) in HOOKS {
        let listed = finished.stdout.lines().any(|line| {
            line.contains(hook) && mechanisms.iter().any(|mechanism| line.contains(mechanism))
        });
        ensure!(
            listed,
            "no line with {hook} and one of {mechanisms:?}: {}",
            finished.stdout
        );
    }
    Ok(())
}

#[test]
fn doctor_agrees_with_the_report() -> Result<()> {
    let _shared = Lab::new()?;
    let recording = Recording::read(run(&["record", "--format", "json", "--duration", "1s"])?)?;
    let doctor = run(&["doctor"])?.stdout;
    ensure!(
        !recording.report.capture.hooks.is_empty(),
        "{}",
        recording.everything()
    );
    for state in &recording.report.capture.hooks {
        ensure!(
            doctor.contains(&state.hook),
            "no {} in {doctor}",
            state.hook
        );
        let explained = state.attached || state.detail.as_ref().is_some_and(|it| !it.is_empty());
        ensure!(explained, "{} is missing without a reason", state.hook);
    }
    Ok(())
}

#[test]
fn doctor_works_without_root() -> Result<()> {
    let finished = as_nobody(&["doctor"])?;
    ensure!(finished.code() == Some(0), "{finished:?}");
    ensure!(finished.stdout.contains("skb:kfree_skb"), "{finished:?}");
    Ok(())
}
