//! The fault that started it all, built, drawn, traced and reported, in a few seconds.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::address::{EXTERNAL, INNER, OUTER};
use crate::firewall::{self, Hook};
use crate::topology::{Nested, NestedLab};
use crate::tracer::Tracer;
use crate::traffic::Transfer;

/// What the container asks for: 14 segments, so a download of no size at all.
pub(crate) const DOWNLOAD: Transfer = Transfer::download(20_000);

/// Builds Docker-in-Docker with an inner MTU of 1500 over an uplink of 1450 whose host drops the ICMP
/// that would say so, traces a download with `binary`, and writes drawing and report to `out`.
///
/// Returns whether the report has an `mtu-black-hole`. Everything is removed before it returns, and
/// also when SIGINT or SIGTERM ends the process.
///
/// # Errors
///
/// Not root, the lab cannot be built, the tracer fails, or `out` cannot be written.
pub fn run(binary: &Path, out: &mut dyn Write) -> Result<bool> {
    let lab = fault()?;
    out.write_all(drawing(&lab)?.as_bytes())?;

    writeln!(
        out,
        "$ mtu-trace record        # while the container downloads {} bytes",
        DOWNLOAD.bytes
    )?;
    out.flush()?;
    let tracer = Tracer::start_binary(binary, &["--format", "text"])?;
    let outcome = lab.run(&DOWNLOAD)?;
    ensure!(
        !outcome.completed(),
        "the download completed: the fault is not there"
    );
    let finished = tracer.end_by(Signal::INT)?;
    ensure!(
        finished.status.success(),
        "mtu-trace failed: {}",
        finished.stderr.trim()
    );
    writeln!(
        out,
        "the container got {} of {} bytes in {:.1} s\n",
        outcome.received,
        outcome.expected,
        outcome.elapsed.as_secs_f64()
    )?;
    out.write_all(finished.stdout.as_bytes())?;
    out.flush()?;
    Ok(finished.stdout.contains("mtu-black-hole"))
}

/// The network of the demo.
pub(crate) fn fault() -> Result<NestedLab> {
    let lab = Nested {
        uplink: 1450,
        port: 1450,
        masquerade: true,
        ..Nested::default()
    }
    .build()
    .context("building the demo's network namespaces")?;
    firewall::drop_frag_needed(lab.host()?, Hook::Output)?;
    Ok(lab)
}

/// The network, with the names as `ip netns` and `ip link` list them.
fn drawing(lab: &NestedLab) -> Result<String> {
    let (inside, out) = (lab.inside()?.name(), lab.out()?.name());
    let (host, server) = (lab.host()?.name(), lab.server()?.name());
    let (container, inner_port) = (NestedLab::CONTAINER, NestedLab::INNER_PORT);
    let (inner_bridge, uplink) = (NestedLab::INNER_BRIDGE, NestedLab::UPLINK);
    let (outer_port, outer_bridge) = (NestedLab::OUTER_PORT, NestedLab::OUTER_BRIDGE);
    let (external, server_device) = (NestedLab::EXTERNAL, NestedLab::SERVER);
    Ok(format!(
        "
  {inside:<24} the container: what `docker build` runs in
  |  {container:<12} mtu 1500   {INNER}
  |
  |  {inner_port:<12} mtu 1500
  |  {inner_bridge:<12} mtu 1500
  {out:<24} the container that runs the inner dockerd; masquerades
  |  {uplink:<12} mtu 1450   {OUTER}
  |
  |  {outer_port:<12} mtu 1450
  |  {outer_bridge:<12} mtu 1450   <- 1500 bytes do not fit
  {host:<24} the machine; masquerades, and drops ICMP \"fragmentation needed\" in OUTPUT
  |  {external:<12} mtu 1500   {EXTERNAL}
  |
  |  {server_device:<12} mtu 1500
  {server:<24} the server: where the download comes from

"
    ))
}
