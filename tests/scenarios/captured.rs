//! Captures of real traces: read anywhere by anyone, they say what the live trace said.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::{fs, thread};

use anyhow::{Context, Result, anyhow, ensure};
use lab::binary::mtu_trace;
use lab::firewall::{Hook, drop_frag_needed};
use lab::process::{Finished, finish};
use lab::scratch::Scratch;
use lab::tracer::{Recording, Tracer};
use rustix::process::Signal;
use serde_json::value::RawValue;

use crate::record_cli::{LIMIT, as_nobody, fails, run};
use crate::{DOWNLOAD, small_uplink};

/// A directory with the capture of a black hole whose namespaces are gone, and what the live trace
/// said of it.
fn recorded(options: &[&str]) -> Result<(Scratch, Finished)> {
    let scratch = Scratch::new()?;
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let file = path(&scratch, "trace.pcapng");
    let tracer = Tracer::start(&[&["--output", &file], options].concat())?;
    let outcome = lab.run(&DOWNLOAD)?;
    let live = tracer.end_by(Signal::INT)?;
    ensure!(live.code() == Some(0) && outcome.hung(), "{live:?}");
    let black_hole = Recording::read(Finished {
        stdout: live.stdout.clone(),
        stderr: live.stderr.clone(),
        ..live
    })?
    .findings(&lab.lab)
    .iter()
    .any(|finding| finding.verdict == "mtu-black-hole");
    ensure!(black_hole, "{live:?}");
    for file in fs::read_dir(scratch.path())? {
        fs::set_permissions(file?.path(), fs::Permissions::from_mode(0o644))?;
    }
    Ok((scratch, live))
}

fn path(scratch: &Scratch, name: &str) -> String {
    scratch.path().join(name).display().to_string()
}

/// The findings as they are written, byte for byte.
fn findings(report: &str) -> Result<String> {
    #[derive(serde::Deserialize)]
    struct Report {
        findings: Box<RawValue>,
    }
    let report: Report = serde_json::from_str(report).with_context(|| report.to_owned())?;
    Ok(report.findings.get().to_owned())
}

fn tool(program: &str, arguments: &[&str]) -> Result<String> {
    let finished = finish(Command::new(program).args(arguments), LIMIT)?;
    ensure!(finished.code() == Some(0), "{program}: {finished:?}");
    Ok(finished.stdout)
}

#[test]
fn capture_says_what_the_live_trace_said() -> Result<()> {
    let (scratch, live) = recorded(&[])?;
    let file = path(&scratch, "trace.pcapng");
    let replayed = as_nobody(&["report", &file, "--format", "json"])?;
    ensure!(
        replayed.code() == Some(0) && replayed.stderr.is_empty(),
        "{replayed:?}"
    );
    ensure!(
        findings(&replayed.stdout)? == findings(&live.stdout)?,
        "live: {}\nreplayed: {}",
        live.stdout,
        replayed.stdout
    );
    let found = as_nobody(&["report", &file, "--exit-code"])?;
    ensure!(found.code() == Some(3), "{found:?}");
    ensure!(found.stdout.contains("mtu-black-hole"), "{found:?}");
    let markdown = as_nobody(&["report", &file, "--format", "markdown"])?.stdout;
    ensure!(markdown.contains("`mtu-black-hole`: error"), "{markdown}");

    let no_payload = fs::read(&file)?;
    ensure!(
        !no_payload.windows(8).any(|bytes| bytes == b"xxxxxxxx"),
        "the capture has payload"
    );
    for compressor in ["gzip", "zstd"] {
        let shell = format!("{compressor} -c {file} > {file}.{compressor}");
        tool("sh", &["-c", &shell])?;
        let compressed = format!("{file}.{compressor}");
        let again = as_nobody(&["report", &compressed, "--format", "json"])?;
        ensure!(again.stdout == replayed.stdout, "{compressor}: {again:?}");
    }
    Ok(())
}

#[test]
fn other_programs_open_a_capture() -> Result<()> {
    let (scratch, _) = recorded(&[])?;
    let file = path(&scratch, "trace.pcapng");
    let all = ["-r", &file, "-T", "fields", "-e", "frame.comment"];
    let comments = tool("tshark", &all)?;
    ensure!(
        comments.contains("dropped by ip_forward: 1500 > 1450 (PKT_TOO_BIG)"),
        "{comments}"
    );
    let malformed = tool("tshark", &["-r", &file, "-Y", "_ws.malformed"])?;
    ensure!(malformed.is_empty(), "{malformed}");
    // Nothing but headers: what is captured of TCP ends where its header does.
    let lengths = ["-r", &file, "-Y", "tcp && !icmp", "-T", "fields"];
    let fields = [
        "-e",
        "frame.cap_len",
        "-e",
        "ip.hdr_len",
        "-e",
        "tcp.hdr_len",
    ];
    let lengths = tool("tshark", &[lengths.as_slice(), &fields].concat())?;
    ensure!(!lengths.is_empty(), "no TCP");
    for line in lengths.lines() {
        let numbers: Vec<u32> = line.split('\t').map(str::parse).collect::<Result<_, _>>()?;
        ensure!(
            matches!(numbers[..], [all, ip, tcp] if all == ip + tcp),
            "{line}"
        );
    }
    let about = tool("capinfos", &[&file])?;
    for words in ["Name = ", "MTU 1500", "Raw IP", "mtu-trace", "netns "] {
        ensure!(about.contains(words), "no {words} in {about}");
    }
    Ok(())
}

#[test]
fn events_are_exported() -> Result<()> {
    let (scratch, _) = recorded(&[])?;
    let file = path(&scratch, "trace.pcapng");
    let lines = as_nobody(&["export", &file, "--format", "ndjson"])?;
    ensure!(lines.code() == Some(0), "{lines:?}");
    let lines: Vec<serde_json::Value> = lines
        .stdout
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(lines[0]["schema"] == "mtu-trace/events/1", "{}", lines[0]);
    let dropped = |line: &&serde_json::Value| {
        line["summary"] == "dropped by ip_forward: 1500 > 1450 (PKT_TOO_BIG)"
    };
    let dropped = lines.iter().find(dropped).context("no drop")?;
    ensure!(
        dropped["head"]
            .as_str()
            .is_some_and(|head| head.starts_with("45")),
        "{dropped}"
    );
    let whole = as_nobody(&["export", &file, "--format", "json"])?.stdout;
    let whole: serde_json::Value = serde_json::from_str(&whole)?;
    let events = whole["events"].as_array().context("no events")?;
    ensure!(events.as_slice() == &lines[1..], "json and ndjson differ");
    let table = as_nobody(&["export", &file, "--format", "csv"])?.stdout;
    let header = table.lines().next().unwrap_or_default();
    ensure!(
        header.starts_with("time,time_ns,event,what,netns"),
        "{table}"
    );
    ensure!(table.contains(",packet,dropped by ip_forward"), "{table}");
    Ok(())
}

#[test]
fn killed_recording_replays() -> Result<()> {
    let scratch = Scratch::new()?;
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let file = path(&scratch, "trace.pcapng");
    let tracer = Tracer::start(&["--output", &file])?;
    let outcome = lab.run(&DOWNLOAD)?;
    let killed = tracer.end_by(Signal::KILL)?;
    ensure!(killed.code().is_none() && outcome.hung(), "{killed:?}");
    let report = run(&["report", &file])?;
    ensure!(report.code() == Some(0), "{report:?}");
    ensure!(report.stdout.contains("mtu-black-hole"), "{report:?}");
    for place in [&report.stdout, &report.stderr] {
        ensure!(place.contains("has no end"), "{report:?}");
    }
    Ok(())
}

#[test]
fn parts_are_whole_and_only_the_latest_are_kept() -> Result<()> {
    let scratch = Scratch::new()?;
    let lab = small_uplink().build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let file = path(&scratch, "trace.pcapng");
    let options = ["--output", &file, "--max-size", "64k", "--max-files", "2"];
    let tracer = Tracer::start(&options)?;
    // The network changes until there are more parts than are to be kept.
    let third = scratch.path().join("trace-00003.pcapng");
    let script = format!(
        "while ! [ -e {} ]; do ip link add mttpart type veth peer name mttraps; ip link del mttpart; done",
        third.display()
    );
    tool(
        "ip",
        &["netns", "exec", lab.host()?.name(), "sh", "-c", &script],
    )?;
    let outcome = lab.run(&DOWNLOAD)?;
    let live = tracer.end_by(Signal::INT)?;
    ensure!(live.code() == Some(0) && outcome.hung(), "{live:?}");
    let mut names: Vec<String> = fs::read_dir(scratch.path())?
        .map(|entry| Ok(entry?.path().display().to_string()))
        .collect::<Result<_>>()?;
    names.sort();
    ensure!(names.len() == 2, "{names:?}");
    ensure!(
        !names.contains(&path(&scratch, "trace-00001.pcapng")),
        "{names:?}"
    );
    for name in &names {
        tool("tshark", &["-r", name])?;
        let report = run(&["report", name])?;
        ensure!(report.code() == Some(0), "{report:?}");
        ensure!(report.stdout.contains("begins with part"), "{report:?}");
    }
    let again = run(&[
        "record",
        "--duration",
        "1s",
        "-o",
        &file,
        "--max-size",
        "64k",
    ])?;
    fails(&again, 1, &["exists already", "--force"])
}

/// Runs a shell script in a mount namespace of its own, where `$D` is a tiny file system.
fn on_a_small_disk(script: &str) -> Result<Finished> {
    let scratch = Scratch::new()?;
    let around = format!(
        "mount -t tmpfs -o size=24k tmpfs {0} && export D={0} B={1} && {script}",
        scratch.path().display(),
        mtu_trace().display(),
    );
    finish(
        Command::new("unshare").args(["-m", "sh", "-c", &around]),
        LIMIT,
    )
}

/// The same while namespaces come and go, so that there is more to be kept than fits.
fn on_a_busy_machine(script: &str) -> Result<Finished> {
    thread::scope(|scope| {
        let finished = scope.spawn(|| on_a_small_disk(script));
        while !finished.is_finished() {
            drop(small_uplink().build()?);
        }
        finished
            .join()
            .map_err(|_| anyhow!("the recording's thread panicked"))?
    })
}

#[test]
fn full_disk_ends_the_capture_and_nothing_else() -> Result<()> {
    // The command's end is the trace's: it is not stopped by what happens to the capture. Once the trace
    // has begun there is no room but in what the file has already.
    let finished = on_a_busy_machine(
        "$B record -o $D/trace.pcapng -- sh -c 'cat /dev/zero > $D/fill; sleep 3; echo ended'; S=$?; \
         rm $D/fill; $B report $D/trace.pcapng; echo report: $?; exit $S",
    )?;
    ensure!(finished.code() == Some(1), "{finished:?}");
    let told = finished
        .stderr
        .matches("cannot write the capture to")
        .count();
    ensure!(told == 1, "{finished:?}");
    ensure!(
        finished.stderr.contains("No space left on device"),
        "{finished:?}"
    );
    ensure!(finished.stdout.contains("ended"), "{finished:?}");
    // What there was room for is a capture.
    ensure!(finished.stdout.contains("report: 0"), "{finished:?}");
    let own_status = on_a_busy_machine(
        "$B record -o $D/trace.pcapng -- sh -c 'cat /dev/zero > $D/fill; sleep 2; exit 7'",
    )?;
    ensure!(own_status.code() == Some(7), "{own_status:?}");
    ensure!(
        own_status.stderr.contains("cannot write the capture to"),
        "{own_status:?}"
    );
    Ok(())
}

#[test]
fn files_are_not_overwritten_unasked() -> Result<()> {
    let _shared = lab::Lab::new()?;
    let scratch = Scratch::new()?;
    let file = path(&scratch, "trace.pcapng");
    fs::write(&file, "precious")?;
    let refused = run(&["record", "--duration", "1s", "-o", &file])?;
    fails(&refused, 1, &["exists already", "--force"])?;
    ensure!(fs::read(&file)? == b"precious");
    let forced = run(&["record", "--duration", "1s", "-o", &file, "--force"])?;
    ensure!(forced.code() == Some(0), "{forced:?}");
    ensure!(run(&["report", &file])?.code() == Some(0));
    let nowhere = path(&scratch, "no/such/directory");
    fails(
        &run(&["record", "--duration", "1s", "-o", &nowhere])?,
        1,
        &["no/such/directory", "no such file"],
    )
}

#[test]
fn what_is_no_capture_is_one_message() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = path(&scratch, "file");
    for (content, words) in [
        ("", "empty"),
        ("hello, this is no capture at all", "no capture"),
    ] {
        fs::write(&file, content)?;
        fails(&run(&["report", &file])?, 1, &[words])?;
        fails(&run(&["export", &file, "--format", "csv"])?, 1, &[words])?;
    }
    fails(&run(&["report", "/nonexistent"])?, 1, &["/nonexistent"])?;
    Ok(())
}

#[test]
fn capture_is_shown_in_part() -> Result<()> {
    let (scratch, live) = recorded(&[])?;
    let file = path(&scratch, "trace.pcapng");
    let report = |selection: &[&str]| -> Result<serde_json::Value> {
        let shown = as_nobody(&[&["report", &file, "--format", "json"], selection].concat())?;
        ensure!(shown.code() == Some(0), "{shown:?}");
        Ok(serde_json::from_str(&shown.stdout)?)
    };
    let whole: serde_json::Value = serde_json::from_str(&live.stdout)?;
    let finding = &whole["findings"][0];
    let local = &finding["connection"]["local"];
    let netns = local["netns"]["name"].as_str().context("no name")?;
    let port = format!("src port {}", local["port"]);

    let shown = report(&["--netns", netns])?;
    ensure!(shown["findings"][0] == *finding, "{shown:#}");
    ensure!(shown["capture"]["selection"]["netns"][0] == netns);
    let nothing = report(&["--netns", netns, "port 1"])?;
    ensure!(nothing["findings"].as_array().is_some_and(Vec::is_empty));
    ensure!(nothing["capture"]["selection"]["hidden_findings"].as_u64() >= Some(1));
    // Other labs may be recorded, too, and there are more names than a message has room for.
    let misspelled = format!("{netns}x");
    let missing = as_nobody(&["report", &file, "--netns", &misspelled])?;
    fails(&missing, 1, &[&misspelled, &format!("{netns} (")])?;

    let rows = |selection: &[&str]| -> Result<Vec<String>> {
        let table = as_nobody(&[&["export", &file, "--format", "csv"], selection].concat())?;
        ensure!(table.code() == Some(0), "{table:?}");
        Ok(table.stdout.lines().skip(1).map(str::to_owned).collect())
    };
    let (all, own, none) = (rows(&[])?, rows(&[&port])?, rows(&["port 1"])?);
    let of_connection = |row: &&String| row.contains(&local["port"].to_string());
    ensure!(own.iter().any(|row| row.contains("tcp")), "{own:?}");
    ensure!(own.len() <= all.len() && none.len() < own.len());
    ensure!(!none.iter().any(|row| of_connection(&row)), "{none:?}");
    let json = as_nobody(&["export", &file, "--format", "json", &port])?;
    let events: serde_json::Value = serde_json::from_str(&json.stdout)?;
    ensure!(events["events"].as_array().is_some_and(|it| !it.is_empty()));
    Ok(())
}
