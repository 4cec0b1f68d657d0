//! What a trace says that had to forget something.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::binary::mtu_trace;
use lab::firewall::{Hook, drop_frag_needed};
use lab::process::finish;
use lab::report::Confidence;
use lab::scratch::Scratch;
use lab::topology::Nested;
use lab::tracer::{Recording, Tracer};
use lab::{Netns, traffic};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::record_cli::LIMIT;
use crate::{DOWNLOAD, small_uplink};

/// Connections that fill what a tracer with [`MEMORY`] has room for more than twice, with both ends.
const MANY: usize = 1500;
/// The least that a tracer can be given: 1,310 handshakes at most (docs/stores.md).
const MEMORY: &str = "4M";

/// Connections over the loopback device of a namespace, both ends of each.
fn connections(netns: &Netns, many: usize) -> Result<Vec<[TcpStream; 2]>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    netns.run(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let open = || Ok([TcpStream::connect(address)?, listener.accept()?.0]);
        (0..many).map(|_| open()).collect()
    })
}

/// How many handshakes had to be forgotten by a report.
fn forgotten(report: &str) -> Result<u64> {
    let report: Value = serde_json::from_str(report)?;
    let told = &report["capture"]["evictions"]["handshakes"]["evicted"];
    told.as_u64().with_context(|| report["capture"].to_string())
}

/// The handshake of a connection that stalls later is forgotten for many others: neither end of it is
/// known for sure.
#[test]
fn a_forgotten_handshake_is_told_and_lowers_the_confidence() -> Result<()> {
    let lab = Nested {
        masquerade: true,
        ..small_uplink()
    }
    .build()?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let scratch = Scratch::new()?;
    let file = scratch.path().join("trace.pcapng").display().to_string();
    let tracer = Tracer::start(&["--memory", MEMORY, "--output", &file])?;
    let connection = lab.open(&DOWNLOAD)?;
    let held = connections(lab.server()?, MANY)?;
    let outcome = traffic::carry(connection, &DOWNLOAD)?;
    let recording = tracer.stop()?;
    drop(held);
    ensure!(outcome.hung(), "{outcome:?}");

    let findings = recording.findings(&lab.lab);
    let sure = |confidence| findings.iter().any(|it| it.confidence == confidence);
    ensure!(
        findings.iter().any(|it| it.verdict == "mtu-black-hole") && !sure(Confidence::Confirmed),
        "{}",
        recording.everything()
    );
    let live = forgotten(&recording.finished.stdout)?;
    ensure!(live > 0, "{}", recording.everything());
    let read = |format| {
        let report = ["report", &file, "--format", format];
        finish(Command::new(mtu_trace()).args(report), LIMIT)
    };
    let replayed = read("json")?;
    ensure!(forgotten(&replayed.stdout)? == live, "{replayed:?}");
    let again = Recording::read(replayed)?.findings(&lab.lab).len();
    ensure!(again == findings.len(), "{again} findings");
    let text = read("text")?.stdout;
    let sentence = format!("{live} handshakes of connections had to be forgotten");
    ensure!(text.contains(&sentence), "{text}");
    Ok(())
}

#[test]
fn doctor_shows_how_much_room_there_is() -> Result<()> {
    let doctor = |format| {
        let arguments = ["doctor", "--memory", MEMORY, "--format", format];
        finish(Command::new(mtu_trace()).args(arguments), LIMIT)
    };
    let sizes = serde_json::from_str::<Value>(&doctor("json")?.stdout)?["sizes"].clone();
    ensure!(
        sizes["memory_bytes"] == 4 << 20 && sizes["stores"]["drops"] == 256,
        "{sizes}"
    );
    let text = doctor("text")?.stdout;
    ensure!(text.contains("with 4 MiB of memory"), "{text}");
    Ok(())
}
