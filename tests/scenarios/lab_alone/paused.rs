//! Processes that are stopped while they receive.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::address::Family;
use lab::counters::snmp;
use lab::paused::Reader;
use lab::topology::Nested;

const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn a_stopped_process_closes_its_window_and_goes_on() -> Result<()> {
    let lab = Nested::default().build()?;
    let address = lab.server_address(Family::V4);
    let reader = Reader::start(lab.inside()?, lab.server()?, address, 8080, LIMIT)?;
    reader.pause()?;
    let sent = reader.fill(LIMIT)?;
    ensure!(sent > 16 * 1024, "{sent} bytes were sent");
    ensure!(snmp(lab.inside()?, "TcpExt", "TCPToZeroWindowAdv")? >= 1);
    ensure!(snmp(lab.server()?, "TcpExt", "TCPTimeouts")? == 0);
    reader.resume()?;
    reader.finish(LIMIT)
}
