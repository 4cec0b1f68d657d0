//! A closed window stalls a connection without a single packet being too big or lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::counters::snmp;
use lab::topology::{Nested, NestedLab};
use lab::traffic::Transfer;
use lab::unread::Unread;

const LIMIT: Duration = Duration::from_secs(5);

fn stuck(lab: &NestedLab, transfer: Transfer) -> Result<Unread> {
    let address = lab.server_address(transfer.family);
    Unread::fill(
        lab.inside()?,
        lab.server()?,
        address,
        &transfer.within(LIMIT),
    )
}

#[test]
fn a_receiver_that_does_not_read_closes_its_window() -> Result<()> {
    for transfer in [
        Transfer::download(0),
        Transfer::upload(0),
        Transfer::download(0).v6(),
    ] {
        let lab = Nested::default().build()?;
        let mut unread = stuck(&lab, transfer)?;
        let (sender, receiver) = match transfer.direction {
            lab::traffic::Direction::Download => (lab.server()?, lab.inside()?),
            lab::traffic::Direction::Upload => (lab.inside()?, lab.server()?),
        };
        ensure!(snmp(receiver, "TcpExt", "TCPToZeroWindowAdv")? >= 1);
        ensure!(snmp(sender, "TcpExt", "TCPWinProbe")? >= 1, "no probe");
        // Tail loss probes may repeat a segment whose acknowledgement is delayed; nothing timed out.
        ensure!(snmp(sender, "TcpExt", "TCPTimeouts")? == 0);
        ensure!(snmp(receiver, "TcpExt", "TCPRcvQDrop")? == 0);
        ensure!(unread.received == 0 && unread.sent > 16 * 1024);

        ensure!(unread.resume(LIMIT)?, "{unread:?}");
        ensure!(unread.received == unread.sent, "{unread:?}");
        ensure!(snmp(receiver, "TcpExt", "TCPFromZeroWindowAdv")? >= 1);
    }
    Ok(())
}

/// A hole on the way shows when the window is open again, and not before.
#[test]
fn a_hole_behind_a_closed_window() -> Result<()> {
    let lab = Nested::default().build()?;
    let mut unread = stuck(&lab, Transfer::download(0))?;
    lab::link::set_mtu(lab.out()?, NestedLab::UPLINK, 1400)?;
    ensure!(!unread.resume(Duration::from_secs(2))?, "{unread:?}");
    ensure!(unread.received < unread.sent, "{unread:?}");
    ensure!(snmp(lab.server()?, "Tcp", "RetransSegs")? >= 1);
    Ok(())
}
