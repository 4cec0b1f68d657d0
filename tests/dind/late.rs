//! The screens, opened when the build has been hanging for a while: what a user does who wonders why.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::counters::snmp;
use lab::patience::patient;
use lab::terminal::{Screen, Terminal};

use super::engine::Container;
use super::host::Host;
use super::scenarios::Stage;

/// The terminal: wide enough for the longest name an engine gives.
const SIZE: (u16, u16) = (120, 40);
/// How often the sender has to have tried again: after 0.2, 0.6, 1.5, 3.1 and 6.5 s. The next try is at 13 s.
const TRIES: u64 = 5;
/// How long that may take, from the start of a build.
const LIMIT: Duration = Duration::from_secs(60);
/// How often the kernel's counter is read: nothing tells that it has moved.
const PAUSE: Duration = Duration::from_millis(50);

impl Stage<'_> {
    /// A build that has been hanging for a while when the screens are opened.
    pub fn opened_late(&self) -> Result<()> {
        let outer = self.outer(&[], &[])?;
        println!("== mtu-trace opened in the middle of a build that hangs");
        let before = tries(self.host)?;
        let begun = Instant::now();
        let build = outer.start_build(&[])?;
        while tries(self.host)? < before + TRIES {
            ensure!(begun.elapsed() < patient(LIMIT), "nothing hangs");
            thread::sleep(PAUSE);
        }
        let hung = begun.elapsed();
        let step = outer.step()?;
        let seen = look(self.host, &step, self.binary)?;
        outer.give_up(&step)?;
        let ended = build.finish(patient(LIMIT))?;
        ensure!(!ended.status.success(), "the build that hung succeeded");
        println!(
            "   opened {:.1} s after the build began; {:.1} s later:",
            hung.as_secs_f64(),
            seen.foretold.as_secs_f64()
        );
        for line in seen.lines {
            println!("{}", line.trim_end());
        }
        println!(
            "   and {:.1} s after that, when the server tries again, the drops and the ICMP's are seen",
            seen.confirmed.as_secs_f64()
        );
        outer.remove()
    }
}

/// What the screens show.
struct Seen {
    /// The first screen that names the stall.
    lines: Vec<String>,
    /// How long it took, from the start of the program.
    foretold: Duration,
    /// How long after that the next try of the sender was seen to die.
    confirmed: Duration,
}

/// How often the server has sent something again so far.
fn tries(host: &Host) -> Result<u64> {
    snmp(host.outside()?, "Tcp", "RetransSegs")
}

/// Opens the screens until they show why.
fn look(host: &Host, step: &Container, binary: &Path) -> Result<Seen> {
    let (columns, rows) = SIZE;
    let opened = Instant::now();
    let mut terminal = Terminal::start(Command::new(binary), columns, rows)?;
    // Others on this machine may stall as well. What it rests on is drawn last.
    let named = [&step.name, "mtu-black-hole", host.id(), "EVIDENCE"];
    terminal.until("the stall of the build", |screen| has(screen, &named))?;
    let foretold = opened.elapsed();
    terminal.settle()?;
    let lines = terminal.screen().rows(0, columns).collect();
    let seen = [&step.name, "ICMP is dropped here (OUTPUT)"];
    ensure!(
        !has(terminal.screen(), &seen),
        "the stall is named only when its packets die again"
    );
    terminal.until("what the next try shows", |screen| has(screen, &seen))?;
    let confirmed = opened.elapsed() - foretold;
    terminal.press("q")?;
    let status = terminal.end()?;
    ensure!(status.success(), "the screens end with {status}");
    terminal
        .is_as_before()
        .context("the terminal after the screens")?;
    Ok(Seen {
        lines,
        foretold,
        confirmed,
    })
}

fn has(screen: &Screen, words: &[&str]) -> bool {
    let contents = screen.contents();
    words.iter().all(|words| contents.contains(words))
}
