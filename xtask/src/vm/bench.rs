//! The programs under test, brought to a kernel, and what they leave there.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::boot::{self, Logs};
use super::captured;
use super::emulator::{self, Emulator};
use super::initramfs::{self, Programs};
use super::kernels::{Kernel, Place, Wanted};
use super::locked;
use super::plays::{self, How, Play};
use super::table::{Column, Doctor};
use crate::packages::Archive;
use crate::run::{self, Profile};

/// After this a machine hangs, even where two cores are shared with other work.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// What all kernels share.
pub struct Bench {
    /// What was downloaded.
    cache: PathBuf,
    /// What runs leave.
    logs: PathBuf,
    mtu_trace: PathBuf,
    matrix: PathBuf,
    plays: Vec<Play>,
    /// Where the machine's packages come from; not asked where all is downloaded already.
    archive: OnceCell<Archive>,
}

impl Bench {
    /// Builds what is under test.
    pub fn set_up(plays: Vec<Play>) -> Result<Self> {
        let target = run::target_directory()?.join("vm");
        let logs = target.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(Self {
            mtu_trace: run::build_mtu_trace(Profile::Release)?,
            matrix: matrix(&target)?,
            cache: target.join("cache"),
            logs,
            plays,
            archive: OnceCell::new(),
        })
    }

    /// A kernel, and what boots it.
    pub fn machine(&self, wanted: &Wanted) -> Result<Machine> {
        let archive = || self.archive();
        let busybox = emulator::busybox(&self.cache, archive)?;
        Ok(Machine {
            emulator: Emulator::get(&self.cache, archive)?,
            kernel: wanted.get(&self.cache, &busybox, || self.archive()?.mirror())?,
            busybox,
        })
    }

    fn archive(&self) -> Result<&Archive> {
        if let Some(archive) = self.archive.get() {
            return Ok(archive);
        }
        let archive = Archive::of_machine(&self.cache.join("machine"))?;
        archive.update()?;
        Ok(self.archive.get_or_init(|| archive))
    }

    /// Boots `machine` and plays the scenarios on its kernel.
    pub fn play_on(&self, wanted: &Wanted, machine: &Machine) -> Result<Vec<Column>> {
        let Wanted { name, .. } = *wanted;
        println!("== matrix on {}", machine.kernel.release);
        let file = |extension: &str| self.logs.join(format!("{name}.{extension}"));
        let (initramfs, console, results) = (file("cpio"), file("console"), file("results"));
        let programs = Programs {
            mtu_trace: &self.mtu_trace,
            matrix: &self.matrix,
            busybox: &machine.busybox,
        };
        let list: String = self.plays.iter().map(Play::line).collect();
        initramfs::write(&initramfs, &machine.kernel, &programs, &list)?;
        let logs = Logs {
            console: &console,
            results: &results,
        };
        let run = boot::boot(&machine.emulator, &machine.kernel, &initramfs, &logs, LIMIT)?;
        fs::remove_file(&initramfs)
            .with_context(|| format!("cannot remove {}", initramfs.display()))?;
        println!("== {} s", run.took.as_secs());
        let mut columns = plays::columns(&self.plays, name, &machine.kernel.release, &run)
            .with_context(|| format!("see {} and {}", results.display(), console.display()))?;
        if let Some(first) = columns.first_mut()
            && first.failed.is_none()
        {
            let replayed = captured::compare(&run, &self.mtu_trace, &file("pcapng"));
            let outcome = replayed.and_then(|()| locked::judge(&run));
            first.failed = outcome.err().map(|error| format!("{error:#}"));
        }
        Ok(columns)
    }

    /// Plays those that are to be played in the best way on the kernel that runs, which need not have
    /// any other.
    pub fn play_here(&self) -> Result<Vec<Column>> {
        let mut plays = self.plays.iter();
        let Some(play) = plays.find(|play| play.how == How::Best) else {
            println!("== not on the kernel that runs here: it need not have any other mechanism");
            return Ok(Vec::new());
        };
        println!("== matrix on the kernel that runs here");
        let file = |name: &str| self.logs.join(format!("{}.{name}", Place::HOST));
        let (lines, output) = (file("lines"), file("output"));
        // What an earlier run left is none of this one's.
        fs::write(&lines, "").with_context(|| format!("cannot write {}", lines.display()))?;
        let doctor =
            run::output(Command::new(&self.mtu_trace).args(["doctor", "--format", "json"]))?;
        let to =
            File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        let status = Command::new(&self.matrix)
            .args(&play.scenarios)
            .env("MTU_TRACE_BIN", &self.mtu_trace)
            .env("MTU_TRACE_MATRIX", "once")
            .env("MTU_TRACE_MATRIX_LINES", &lines)
            .stderr(to.try_clone().context("cannot share a file")?)
            .stdout(to)
            .status()
            .context("cannot start the matrix")?;
        lab::sweep().context("cannot remove what the scenarios left behind")?;
        let text = fs::read_to_string(&lines)
            .with_context(|| format!("cannot read {}", lines.display()))?;
        let doctor: Doctor = serde_json::from_str(&doctor).context("doctor prints no JSON")?;
        let lines = plays::parse(&text)?;
        let failed = match status.code() {
            Some(0 | 1) if lines.is_empty() => Some(plays::idle(
                &fs::read_to_string(&output).unwrap_or_default(),
            )),
            Some(code) if plays::is_told(code, &lines) => None,
            _ => Some(format!(
                "the matrix ended with {status}: see {}",
                output.display()
            )),
        };
        Ok(vec![Column {
            name: Place::HOST.to_owned(),
            release: doctor.kernel,
            hooks: doctor.hooks,
            lines,
            failed,
            is_absent: false,
        }])
    }
}

/// A virtual machine before it boots.
pub struct Machine {
    kernel: Kernel,
    emulator: Emulator,
    busybox: PathBuf,
}

/// Builds the scenarios and puts them, without what only a debugger reads, into `directory`.
fn matrix(directory: &Path) -> Result<PathBuf> {
    let build = [
        "test",
        "--locked",
        "--package",
        "mtu-trace-tests",
        "--test",
        "matrix",
        "--no-run",
    ];
    run::step(&mut run::cargo(&build))?;
    // The same again, which only says where it is.
    let messages = run::output(run::cargo(&build).args(["--message-format", "json"]))?;
    let built = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "matrix")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no executable of the matrix")?;
    let stripped = directory.join("matrix");
    let mut strip = Command::new("strip");
    strip
        .args(["--strip-debug", "-o"])
        .arg(&stripped)
        .arg(built);
    run::status(&mut strip)?;
    Ok(stripped)
}
