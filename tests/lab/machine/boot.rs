//! A virtual machine from start to end: what it wrote, and how it ended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::emulator::Emulator;
use super::kernels::Kernel;

/// What the kernel says when it cannot go on.
const PANIC: &str = "Kernel panic";
/// What the kernel is told. It does not test its timer, which it would call broken, and panic, where
/// the emulator gets the processor too seldom.
const CMDLINE: &str = "console=ttyS0 panic=-1 quiet no_timer_check";
/// What begins a line that begins a part of the results.
const MARK: &str = "=== ";

/// The files of one run, kept for whoever wants to know more.
pub struct Logs<'a> {
    /// What the kernel and the init script say.
    pub console: &'a Path,
    /// What the init script writes as results.
    pub results: &'a Path,
}

/// How a machine ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The init script came to its end.
    Done,
    /// The kernel panicked, with its own words.
    Panic(String),
    /// It did not end in time.
    TimedOut(Duration),
    /// It ended early, with the last line of its console.
    Early(String),
}

/// What a machine left.
#[derive(Debug)]
pub struct Run {
    /// How the machine ended.
    pub end: End,
    /// The results, as far as they came.
    pub results: String,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// The lines of the part called `name`; empty if it was not begun.
    pub fn part(&self, name: &str) -> &str {
        part(&self.results, name)
    }
}

/// Boots `kernel` with the file system in `initramfs`, until it ends or `limit` has passed.
pub fn boot(
    emulator: &Emulator,
    kernel: &Kernel,
    initramfs: &Path,
    logs: &Logs,
    limit: Duration,
) -> Result<Run> {
    let start = Instant::now();
    // What an earlier run left is none of this one's.
    File::create(logs.results)
        .with_context(|| format!("cannot write {}", logs.results.display()))?;
    let mut command = emulator.command();
    command
        .args(["-accel", "tcg,thread=multi", "-cpu", "max"])
        .args(["-m", "3072", "-smp", "2"])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-no-reboot", "-serial", "stdio", "-serial"])
        .arg(format!("file:{}", logs.results.display()))
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", CMDLINE]);
    let console = watch(&mut command, logs.console, start + limit)?;
    let results = fs::read(logs.results)
        .with_context(|| format!("cannot read {}", logs.results.display()))?;
    let results = String::from_utf8_lossy(&results).into_owned();
    let end = if console.timed_out {
        End::TimedOut(limit)
    } else {
        end(&console.text, &results)
    };
    Ok(Run {
        end,
        results,
        took: start.elapsed(),
    })
}

struct Console {
    text: String,
    timed_out: bool,
}

/// Ends with its value, so that no emulator outlives this program's interest in it.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `command`, whose standard output is a console, and copies that to `log`.
fn watch(command: &mut Command, log: &Path, deadline: Instant) -> Result<Console> {
    let mut log_file =
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut machine = Machine(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the emulator")?,
    );
    let lines = lines(machine.0.stdout.take().context("its output is piped")?);
    let mut text = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                log_file
                    .write_all(line.as_bytes())
                    .with_context(|| format!("cannot write {}", log.display()))?;
                text.push_str(&line);
            }
            Err(stopped) => {
                return Ok(Console {
                    text,
                    timed_out: stopped == RecvTimeoutError::Timeout,
                });
            }
        }
    }
}

fn lines(console: ChildStdout) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            if send.send(text).is_err() {
                return;
            }
        }
    });
    receive
}

/// How a machine ended that did end.
fn end(console: &str, results: &str) -> End {
    let done = |line: &str| line.strip_prefix(MARK).is_some_and(|it| it.trim() == "end");
    if results.lines().any(done) {
        return End::Done;
    }
    match console.find(PANIC) {
        Some(at) => {
            let line = console[at..].lines().next().unwrap_or(PANIC);
            End::Panic(line.trim().to_owned())
        }
        None => {
            let last = console.lines().rev().find(|line| !line.trim().is_empty());
            End::Early(last.unwrap_or("nothing").trim().to_owned())
        }
    }
}

/// The lines between the mark called `name` and the next one.
fn part<'a>(results: &'a str, name: &str) -> &'a str {
    let mut at = 0;
    let mut begin = None;
    for line in results.split_inclusive('\n') {
        if let Some(mark) = line.strip_prefix(MARK) {
            match begin {
                Some(begin) => return &results[begin..at],
                None if mark.trim() == name => begin = Some(at + line.len()),
                None => {}
            }
        }
        at += line.len();
    }
    begin.map_or("", |begin| &results[begin..])
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::{End, end, part, watch};

    const RESULTS: &str = "=== doctor\n{}\n=== lines\na\nb\n=== end\n";

    #[test]
    fn results_come_in_parts() {
        assert_eq!(part(RESULTS, "doctor"), "{}\n");
        assert_eq!(part(RESULTS, "lines"), "a\nb\n");
        assert_eq!(part(RESULTS, "output"), "");
        assert_eq!(part("=== output\nhalf", "output"), "half");
    }

    #[test]
    fn an_end_is_told_from_a_panic_and_from_silence() {
        assert_eq!(end("", RESULTS), End::Done);
        let console =
            "Booting\r\n[    2.1] Kernel panic - not syncing: no init\r\n[    2.2] more\n";
        assert_eq!(
            end(console, "=== doctor\n"),
            End::Panic("Kernel panic - not syncing: no init".to_owned())
        );
        assert_eq!(end("a\nb\r\n\n", ""), End::Early("b".to_owned()));
        assert_eq!(end("", ""), End::Early("nothing".to_owned()));
    }

    #[test]
    fn a_machine_that_does_not_end_is_ended() {
        let log = std::env::temp_dir().join(format!("xtask-boot-{}", std::process::id()));
        let mut stuck = Command::new("sh");
        stuck.args(["-c", "echo booting; exec sleep 1000"]);
        let console = watch(
            &mut stuck,
            &log,
            Instant::now() + Duration::from_millis(200),
        )
        .unwrap();
        assert!(console.timed_out);
        let mut brief = Command::new("sh");
        brief.args(["-c", "echo booting"]);
        let console = watch(&mut brief, &log, Instant::now() + Duration::from_secs(60)).unwrap();
        assert!(!console.timed_out);
        assert_eq!(console.text, "booting\n");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "booting\n");
        std::fs::remove_file(&log).unwrap();
    }
}
