//! The program itself in a terminal.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::binary::mtu_trace;
use lab::scratch::Scratch;
use lab::terminal::Terminal;

use crate::generated::Generated;
use crate::told;

/// Keys that are pressed.
const KEYS: usize = 50;
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(20);

/// From a key to the screen it makes, over a capture with so many findings.
pub fn keys(source: &Generated, findings: u64) -> Result<()> {
    let scratch = Scratch::new()?;
    let path = scratch.path().join("findings.pcapng");
    source.write(&path, source.findings(findings), u64::MAX)?;
    let mut command = Command::new(mtu_trace());
    command.arg("replay").arg(&path);
    let mut terminal = Terminal::start(command, 120, 40)?;
    terminal.shows("REPLAY")?;
    terminal.press("\x1b[F")?;
    terminal.shows("mtu-black-hole")?;
    let mut times = Vec::new();
    for _ in 0..KEYS {
        let before = terminal.screen().contents();
        let start = Instant::now();
        terminal.press("j")?;
        terminal.until("another screen", |screen| screen.contents() != before)?;
        times.push(start.elapsed());
    }
    told("key to screen", times);
    terminal.press("q")?;
    terminal.end()?;
    Ok(())
}

/// What `live` costs when nothing happens.
pub fn idle() -> Result<()> {
    let mut command = Command::new(mtu_trace());
    command.arg("live");
    let mut terminal = Terminal::start(command, 120, 40)?;
    terminal.shows("LIVE")?;
    terminal.shows("hooks")?;
    // What is done once at the start is not meant.
    sleep(Duration::from_secs(3));
    let before = cpu_ticks(terminal.pid())?;
    sleep(IDLE);
    let spent = cpu_ticks(terminal.pid())?.saturating_sub(before);
    // USER_HZ is 100 on every architecture: a tick is a hundredth of a second.
    println!(
        "idle: {:.1} % of a core over {} s",
        Duration::from_millis(spent * 10).as_secs_f64() / IDLE.as_secs_f64() * 100.0,
        IDLE.as_secs()
    );
    terminal.press("q")?;
    terminal.end()?;
    Ok(())
}

/// Time of the processor that a process has had, in ticks (proc_pid_stat(5), utime and stime).
fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no name in it")?;
    let mut fields = fields.split(' ').skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("too short")?.parse()?) };
    Ok(next()? + next()?)
}
