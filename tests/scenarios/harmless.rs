//! A trace does no harm: traffic goes on while programs come and go, and traces do not disturb one
//! another.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lab::Netns;
use lab::address::Family;
use lab::firewall::{Hook, drop_frag_needed};
use lab::patience::patient;
use lab::topology::{Nested, NestedLab};
use lab::tracer::{Recording, Tracer};
use lab::traffic::Transfer;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::process::Signal;
use serde_json::Value;

use crate::{DOWNLOAD, small_uplink};

const PORT: u16 = 8090;
/// How often the programs are put on and taken off meanwhile.
const ROUNDS: usize = 3;
/// How long nothing may move.
const STUCK: Duration = Duration::from_secs(10);
/// Ends what nobody ends.
const LONGEST: Duration = Duration::from_secs(120);

/// Listens in a namespace; a client that does not come is not waited for longer than this.
fn listen(server: &Netns, address: SocketAddr) -> Result<TcpListener> {
    let listener = server.run(|| TcpListener::bind(address).context("listening"))?;
    set_socket_timeout(&listener, Timeout::Recv, Some(patient(STUCK)))?;
    Ok(listener)
}

/// Sends as fast as it goes until told to stop; the bytes sent.
fn send(listener: &TcpListener, stop: &AtomicBool) -> Result<u64> {
    let (mut stream, _) = listener.accept().context("accepting")?;
    stream.set_write_timeout(Some(patient(STUCK)))?;
    let chunk = vec![0x5a; 1 << 20];
    let begun = Instant::now();
    let mut sent = 0;
    while !stop.load(Ordering::Acquire) {
        ensure!(
            begun.elapsed() < patient(LONGEST),
            "nobody ends the download"
        );
        stream.write_all(&chunk).context("sending")?;
        sent += chunk.len() as u64;
    }
    Ok(sent)
}

/// Reads to the end; the bytes read.
fn receive(inside: &Netns, address: SocketAddr) -> Result<u64> {
    inside.run(|| {
        let mut stream = TcpStream::connect(address).context("connecting")?;
        stream.set_read_timeout(Some(patient(STUCK)))?;
        let mut chunk = vec![0; 1 << 20];
        let mut received = 0;
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(received),
                Ok(read) => received += read as u64,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("receiving"),
            }
        }
    })
}

/// Counts the connection's packets where they leave their host, and where they come to the other.
fn count(lab: &NestedLab) -> Result<()> {
    for netns in [lab.server()?, lab.inside()?] {
        netns.nft(
            "table ip count {
               counter sent { }
               counter received { }
               chain out { type filter hook output priority 0; tcp sport 8090 counter name sent;
                 tcp dport 8090 counter name sent; }
               chain in { type filter hook prerouting priority 0;
                 tcp sport 8090 counter name received; tcp dport 8090 counter name received; }
             }",
        )?;
    }
    Ok(())
}

/// One of those counts.
fn counted(netns: &Netns, counter: &str) -> Result<i64> {
    let text = netns.nft_output(&["-j", "list", "counter", "ip", "count", counter])?;
    let listed: Value = serde_json::from_str(&text).context("nft's JSON")?;
    let objects = listed["nftables"].as_array().context("nft lists nothing")?;
    let packets = objects
        .iter()
        .find_map(|it| it["counter"]["packets"].as_i64());
    packets.with_context(|| format!("no packets in {text}"))
}

/// What was lost on the way so far, in both directions. What is sent again is counted again: nothing
/// makes up for a loss.
fn lost(lab: &NestedLab) -> Result<(i64, i64)> {
    let (server, inside) = (lab.server()?, lab.inside()?);
    // First what has come: what is on its way must not look like a gain.
    let (here, there) = (counted(inside, "received")?, counted(server, "received")?);
    Ok((
        counted(server, "sent")? - here,
        counted(inside, "sent")? - there,
    ))
}

/// Downloads while `meanwhile` does something; what was lost of it.
fn lost_while(lab: &NestedLab, meanwhile: impl FnOnce() -> Result<()>) -> Result<(i64, i64)> {
    let (server, inside) = (lab.server()?, lab.inside()?);
    let address = SocketAddr::new(lab.server_address(Family::V4), PORT);
    let stop = AtomicBool::new(false);
    let listener = listen(server, address)?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&listener, &stop));
        let receiver = scope.spawn(|| receive(inside, address));
        let done = meanwhile();
        stop.store(true, Ordering::Release);
        let panicked = |_| anyhow!("a thread panicked");
        let sent = sender.join().map_err(panicked)??;
        let received = receiver.join().map_err(panicked)??;
        done?;
        ensure!(
            sent > 0 && sent == received,
            "{sent} sent, {received} received"
        );
        Ok(())
    })?;
    // The last acknowledgements may be on their way.
    let begun = Instant::now();
    loop {
        let lost = lost(lab)?;
        if lost == (0, 0) || begun.elapsed() > patient(Duration::from_secs(2)) {
            return Ok(lost);
        }
        thread::yield_now();
    }
}

/// As fast as the machine can, since segments go through whole, and with no packet that is too big.
/// Exclusive, since the tracers of other tests would put their programs there too.
fn fast() -> Result<NestedLab> {
    let lab = Nested {
        container: 1450,
        offloads: true,
        exclusive: true,
        ..small_uplink()
    }
    .build()?;
    count(&lab)?;
    Ok(lab)
}

/// What is lost while programs are put on by a mechanism and taken off, some times over.
fn lost_by(lab: &NestedLab, options: &[&str]) -> Result<(i64, i64)> {
    lost_while(lab, || {
        for _ in 0..ROUNDS {
            Tracer::start(options)?.end_by(Signal::INT)?;
        }
        Ok(())
    })
}

#[test]
fn nothing_is_lost_while_programs_come_and_go() -> Result<()> {
    let lost = lost_by(&fast()?, &[])?;
    ensure!(lost == (0, 0), "{lost:?} packets were lost");
    Ok(())
}

/// A device that gets its first `clsact` qdisc is deactivated for a moment by the kernel
/// (`qdisc_graft`), which loses what is sent then. Where one is there, as with most CNIs, nothing is.
#[test]
fn nothing_is_lost_where_filters_join_others() -> Result<()> {
    let lab = fast()?;
    let (host, out) = (lab.host()?, lab.out()?);
    let devices = [
        (host, NestedLab::EXTERNAL),
        (host, NestedLab::OUTER_BRIDGE),
        (host, NestedLab::OUTER_PORT),
        (out, NestedLab::UPLINK),
        (out, NestedLab::INNER_BRIDGE),
        (out, NestedLab::INNER_PORT),
    ];
    for (netns, device) in devices {
        netns.tc(&["qdisc", "add", "dev", device, "clsact"])?;
    }
    let lost = lost_by(&lab, &["--mechanism", "clsact"])?;
    ensure!(lost == (0, 0), "{lost:?} packets were lost");
    Ok(())
}

/// Whether a lost packet would have been noticed.
#[test]
fn a_lost_packet_is_counted() -> Result<()> {
    let lab = fast()?;
    // Of the data: before that, nothing is sent yet.
    let rule = "table ip lossy { chain f { type filter hook forward priority 0; \
                tcp sport 8090 tcp flags & syn == 0 limit rate 2/second burst 1 packets counter drop; }; }";
    let host = lab.host()?;
    let (lost, _) = lost_while(&lab, || {
        host.nft(rule)?;
        let begun = Instant::now();
        while host
            .nft_output(&["list", "table", "ip", "lossy"])?
            .contains("packets 0 ")
        {
            ensure!(begun.elapsed() < patient(LONGEST), "nothing is dropped");
        }
        host.nft("delete table ip lossy")
    })?;
    ensure!(lost > 0, "a packet was dropped and nothing is missing");
    Ok(())
}

fn finds(recording: &Recording, lab: &NestedLab, times: usize) -> Result<()> {
    let findings = recording.findings(&lab.lab);
    let holes = findings.iter().filter(|it| it.verdict == "mtu-black-hole");
    let holes: Vec<_> = holes.collect();
    ensure!(
        holes.len() == 1 && holes[0].connections == times as u64,
        "{}",
        recording.everything()
    );
    Ok(())
}

/// One program of ours is in front of the other's or behind it, whichever came first.
#[test]
fn two_traces_at_once_see_the_same_and_leave_each_other_alone() -> Result<()> {
    for options in [&[][..], &["--mechanism", "clsact"]] {
        let lab = small_uplink().build()?;
        drop_frag_needed(lab.host()?, Hook::Output)?;
        let first = Tracer::start(options)?;
        let second = Tracer::start(options)?;
        let third = Tracer::start(options)?;
        let one = lab.run(&DOWNLOAD)?;
        ensure!(one.hung(), "{one:?}");
        // The first is in front of the second and the third behind it when they go.
        finds(&first.stop()?, &lab, 1)?;
        finds(&third.stop()?, &lab, 1)?;
        let other = lab.run(&Transfer {
            port: DOWNLOAD.port + 1,
            ..DOWNLOAD
        })?;
        ensure!(other.hung(), "{other:?}");
        finds(&second.stop()?, &lab, 2)?;
    }
    Ok(())
}
