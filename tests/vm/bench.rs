//! The programs under test, brought to a kernel, and what they leave there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::machine::boot::Logs;
use lab::machine::kernels::Wanted;
use lab::machine::{Machine, Store};
use lab::suites::{Mechanism, Vm};
use lab::{binary, command};

use super::initramfs::{self, Programs};
use super::place::Place;
use super::runs::{self, Selection};
use super::table::{Column, Doctor};
use super::{captured, locked};

/// After this a machine hangs, even where two cores are shared with other work.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// What all kernels share.
pub struct Bench {
    /// What was downloaded.
    store: Store,
    /// The directory of what runs leave.
    logs: PathBuf,
    mtu_trace: PathBuf,
    matrix: PathBuf,
    /// What is asked for.
    arguments: Vm,
}

impl Bench {
    /// Finds what is under test.
    pub fn set_up(arguments: Vm) -> Result<Self> {
        let target = binary::target_directory()?.join("vm");
        let logs = target.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(Self {
            mtu_trace: binary::mtu_trace(),
            matrix: matrix(&target)?,
            store: Store::new(target.join("cache")),
            logs,
            arguments,
        })
    }

    /// A kernel, and what boots it.
    pub fn machine(&self, wanted: &Wanted) -> Result<Machine> {
        self.store.machine(wanted)
    }

    /// Boots `machine` and runs the scenarios on its kernel.
    pub fn run_on(&self, wanted: &Wanted, machine: &Machine) -> Result<Vec<Column>> {
        let Wanted { name, .. } = *wanted;
        println!("== matrix on {}", machine.kernel.release);
        let file = |extension: &str| self.logs.join(format!("{name}.{extension}"));
        let (initramfs, console, results) = (file("cpio"), file("console"), file("results"));
        let programs = Programs {
            mtu_trace: &self.mtu_trace,
            matrix: &self.matrix,
            busybox: &machine.busybox,
        };
        let selections = Selection::chosen(&self.arguments, name);
        let list = Selection::lines(&selections);
        initramfs::write(&initramfs, &machine.kernel, &programs, &list)?;
        let logs = Logs {
            console: &console,
            results: &results,
        };
        let run = machine.boot(&initramfs, &logs, LIMIT)?;
        fs::remove_file(&initramfs)
            .with_context(|| format!("cannot remove {}", initramfs.display()))?;
        println!("== {name}: {} s", run.took.as_secs());
        let mut columns = runs::columns(&selections, name, &machine.kernel.release, &run)
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

    /// Runs those that are selected in the best way on the kernel that runs here, which need not have
    /// any other.
    pub fn run_here(&self) -> Result<Vec<Column>> {
        let selections = Selection::chosen(&self.arguments, Place::HOST);
        let is_best = |it: &&Selection| it.mechanisms.contains(&Mechanism::Best);
        let Some(best) = selections.iter().find(is_best) else {
            println!("== not on the kernel that runs here: it need not have any other mechanism");
            return Ok(Vec::new());
        };
        println!("== matrix on the kernel that runs here");
        let file = |name: &str| self.logs.join(format!("{}.{name}", Place::HOST));
        let (lines, output) = (file("lines"), file("output"));
        // What an earlier run left is none of this one's.
        fs::write(&lines, "").with_context(|| format!("cannot write {}", lines.display()))?;
        let doctor =
            command::output(Command::new(&self.mtu_trace).args(["doctor", "--format", "json"]))?;
        let to =
            File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        let status = Command::new(&self.matrix)
            .args(&best.scenarios)
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
        let lines = runs::parse(&text)?;
        let failed = match status.code() {
            Some(0 | 1) if lines.is_empty() => {
                Some(runs::idle(&fs::read_to_string(&output).unwrap_or_default()))
            }
            Some(code) if runs::is_told(code, &lines) => None,
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

/// Puts the scenarios' program, without what only a debugger reads, into `directory`.
fn matrix(directory: &Path) -> Result<PathBuf> {
    let built = std::env::var_os("MTU_TRACE_MATRIX_BIN")
        .context("MTU_TRACE_MATRIX_BIN names no program: run this as `cargo xtask vm`")?;
    let stripped = directory.join("matrix");
    let mut strip = Command::new("strip");
    strip
        .args(["--strip-debug", "-o"])
        .arg(&stripped)
        .arg(built);
    command::status(&mut strip)?;
    Ok(stripped)
}
