//! Runs a case where this program runs, alone and with the tracer beside it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::binary;
use lab::patience::patient;
use lab::process::{Finished, Running};
use lab::report::{Finding, NetnsId};
use lab::tracer::Tracer;

use super::case::{Case, Ended, Outcome, Told};

/// What makes a case's world.
const INSIDE: &str = include_str!("inside.sh");
/// How often the namespaces of a case are looked at. A choice: they live for seconds.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How much longer than a case may take its tracer lives that nobody stops, as when this program is
/// killed.
const TRACER_LONGER: Duration = Duration::from_secs(60);
/// How often a case is tried whose ends differ: once more, since some of the kernel's tests do not
/// always end alike by themselves.
const TRIES: usize = 2;

/// Where cases run.
pub struct Ground<'a> {
    tree: &'a Path,
    logs: &'a Path,
    whose: Whose,
}

/// Whose findings a tracer may have that runs beside a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Those of whatever else runs on the machine, too.
    Anyones,
    /// The case's alone.
    Cases,
}

impl<'a> Ground<'a> {
    /// This machine, on which others may work.
    pub fn here(tree: &'a Path, logs: &'a Path) -> Self {
        let whose = Whose::Anyones;
        Self { tree, logs, whose }
    }

    /// A virtual machine, on which nobody does.
    pub fn guest(tree: &'a Path, logs: &'a Path) -> Self {
        let whose = Whose::Cases;
        Self { tree, logs, whose }
    }

    /// Runs `case` by itself and, unless it is skipped, with the tracer beside it.
    pub fn run(&self, case: &Case) -> Result<Outcome> {
        let mut outcome = Outcome {
            case: case.name.to_owned(),
            kernel: kernel()?,
            alone: Ended::Skipped,
            traced: None,
            events: 0,
            findings: Vec::new(),
            words: String::new(),
            trouble: None,
        };
        for _ in 0..TRIES {
            let alone = self.alone(case, "alone")?;
            outcome.alone = alone.ended;
            outcome.words = alone.words;
            if alone.ended == Ended::Skipped {
                return Ok(outcome);
            }
            let traced = self.traced(case, &mut outcome);
            match traced {
                Ok(ended) => outcome.traced = Some(ended),
                Err(error) => {
                    // Without what it quotes, which is a whole report.
                    outcome.trouble = Some(error.root_cause().to_string());
                    return Ok(outcome);
                }
            }
            if outcome.is_undisturbed() {
                break;
            }
        }
        Ok(outcome)
    }

    /// Runs it beside a tracer, and adds what that says of it to `outcome`.
    fn traced(&self, case: &Case, outcome: &mut Outcome) -> Result<Ended> {
        let binary = binary::mtu_trace();
        let longest = patient(case.limit + TRACER_LONGER);
        let duration = format!("{}s", longest.as_secs());
        let tracer = Tracer::start_for(&duration, &binary, &["--format", "json"])?;
        let ran = self.alone(case, "traced")?;
        let recording = tracer.stop()?;
        self.write(case, "report", &recording.everything())?;
        let own = recording.report.findings.iter().filter(|finding| {
            self.whose == Whose::Cases || finding.namespaces().any(|id| ran.namespaces.have(id))
        });
        let events = recording.report.capture.events;
        ensure!(
            events > 0 || !case.truth.has_drops,
            "the tracer saw nothing"
        );
        outcome.events += events;
        outcome
            .findings
            .extend(own.map(|finding: &Finding| Told::of(finding, case.truth)));
        if ran.ended != Ended::Passed {
            outcome.words = ran.words;
        }
        Ok(ran.ended)
    }

    /// Runs it in namespaces of its own; what it writes goes to a log of the name `how`.
    fn alone(&self, case: &Case, how: &str) -> Result<Ran> {
        let mut namespaces = Namespaces::default();
        let running = Running::start(&mut self.command(case))?;
        let deadline = Instant::now() + patient(case.limit);
        while !running.wait_ended(LOOK_AGAIN)? {
            namespaces.look(running.pid(), self.tree);
            if Instant::now() > deadline {
                // With its first process all others end.
                drop(running);
                let words = "it did not end in time".to_owned();
                return Ok(Ran {
                    ended: Ended::Hung,
                    words,
                    namespaces,
                });
            }
        }
        let finished = running.finish(LOOK_AGAIN)?;
        let output = format!("{}{}", finished.stdout, finished.stderr);
        self.write(case, how, &output)?;
        let ended = Ended::of(finished.code());
        Ok(Ran {
            ended,
            words: words(&finished, ended),
            namespaces,
        })
    }

    fn command(&self, case: &Case) -> Command {
        // With this program `unshare` ends, with that the first process inside, and so all of it.
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--net",
                "--mount",
                "--pid",
            ])
            .args(["--fork", "--kill-child", "sh", "-c", INSIDE, "sh"])
            .arg(self.tree)
            .args([case.directory, case.script])
            .args(case.arguments);
        command
    }

    fn write(&self, case: &Case, how: &str, text: &str) -> Result<()> {
        let path = self.logs.join(format!("{}.{how}", case.name));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A run of a case.
struct Ran {
    ended: Ended,
    words: String,
    namespaces: Namespaces,
}

/// The last line of what a case wrote that did not pass.
fn words(finished: &Finished, ended: Ended) -> String {
    let outputs = [&finished.stderr, &finished.stdout];
    let last = |text: &&String| {
        text.lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .map(str::to_owned)
    };
    match ended {
        Ended::Passed => String::new(),
        _ => outputs.iter().find_map(last).unwrap_or_default(),
    }
}

/// The network namespaces that a case has made so far.
#[derive(Debug, Default)]
struct Namespaces {
    inodes: BTreeSet<u64>,
    names: BTreeSet<String>,
}

impl Namespaces {
    /// Adds those that exist now, as they are named where the process `pid` and the case below it see
    /// them. What is gone while it is looked at, is gone.
    fn look(&mut self, pid: u32, tree: &Path) {
        let inode = |path: &Path| fs::metadata(path).map(|it| it.ino()).ok();
        let process = Path::new("/proc").join(pid.to_string());
        let own = inode(Path::new("/proc/self/ns/net"));
        let first = inode(&process.join("ns/net"));
        self.inodes.extend(first.filter(|_| first != own));
        let tree = tree.strip_prefix("/").unwrap_or(tree);
        let names = fs::read_dir(process.join("root").join(tree).join("run/netns"));
        for entry in names.into_iter().flatten().flatten() {
            self.inodes.extend(inode(&entry.path()));
            self.names.extend(entry.file_name().into_string());
        }
    }

    /// Whether `id` is one of them. Its number says so only where it has no name: the kernel gives that
    /// of a namespace that is gone to the next, which may be another's.
    fn have(&self, id: &NetnsId) -> bool {
        match &id.name {
            Some(name) => self.names.contains(name),
            None => self.inodes.contains(&id.inode),
        }
    }
}

/// What `uname -r` prints.
fn kernel() -> Result<String> {
    let path = "/proc/sys/kernel/osrelease";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().to_owned())
}
