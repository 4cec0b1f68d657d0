//! `cargo xtask vm`: the scenario matrix on Debian's kernels, in virtual machines that the emulator
//! runs without any help of the processor, with the release build that users get.

mod boot;
mod emulator;
mod initramfs;
mod kernels;
mod modules;
mod packages;
mod table;

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use self::boot::{End, Logs, Run};
use self::emulator::Emulator;
use self::initramfs::Programs;
use self::kernels::Wanted;
use self::packages::{Archive, Mirror};
use self::table::{Column, Doctor, Line};
use crate::{run, setup};

/// After this a machine hangs, even where two cores are shared with other work.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs the matrix on `kernels`, all if empty; `scenarios` are beginnings of their names, all if empty.
pub fn run(kernels: &[String], scenarios: &[String]) -> Result<()> {
    let chosen = kernels::chosen(kernels)?;
    packages::require_apt()?;
    setup::run()?;
    let columns = play(&chosen, scenarios)?;
    let bad: Vec<&str> = columns
        .iter()
        .filter(|column| !column.is_right())
        .map(|column| column.name.as_str())
        .collect();
    ensure!(
        bad.is_empty(),
        "not all is right on {}: see below the table",
        bad.join(", ")
    );
    Ok(())
}

/// Plays `scenarios` on each of `kernels` and prints the table.
fn play(kernels: &[&Wanted], scenarios: &[String]) -> Result<Vec<Column>> {
    let bench = Bench::set_up(scenarios)?;
    let mut columns = Vec::new();
    for kernel in kernels {
        let column = bench
            .play(kernel)
            .unwrap_or_else(|error| Column::failed(kernel.name, format!("{error:#}")));
        columns.push(column);
    }
    print!("{}", table::render(&columns));
    Ok(columns)
}

/// What all machines share.
struct Bench {
    /// What was downloaded.
    cache: PathBuf,
    /// What runs leave.
    logs: PathBuf,
    emulator: Emulator,
    busybox: PathBuf,
    mtu_trace: PathBuf,
    matrix: PathBuf,
    settings: String,
    mirror: OnceCell<Mirror>,
}

impl Bench {
    fn set_up(scenarios: &[String]) -> Result<Self> {
        let target = run::target_directory()?.join("vm");
        let (cache, logs) = (target.join("cache"), target.join("logs"));
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let machine = || machine_archive(&cache);
        let emulator = Emulator::get(&cache, machine)?;
        let busybox = emulator::busybox(&cache, machine)?;
        run::step(&mut run::cargo(&[
            "build",
            "--locked",
            "--release",
            "--package",
            "mtu-trace",
        ]))?;
        Ok(Self {
            emulator,
            busybox,
            mtu_trace: run::mtu_trace_binary("release")?,
            matrix: matrix(&target)?,
            settings: format!("SCENARIOS='{}'\n", scenarios.join(" ")),
            cache,
            logs,
            mirror: OnceCell::new(),
        })
    }

    fn play(&self, wanted: &Wanted) -> Result<Column> {
        let kernel = wanted.get(&self.cache, &self.busybox, || self.mirror())?;
        println!("== matrix on {}", kernel.release);
        let file = |extension: &str| self.logs.join(format!("{}.{extension}", wanted.name));
        let (initramfs, console, results) = (file("cpio"), file("console"), file("results"));
        let programs = Programs {
            mtu_trace: &self.mtu_trace,
            matrix: &self.matrix,
            busybox: &self.busybox,
        };
        initramfs::write(&initramfs, &kernel, &programs, &self.settings)?;
        let logs = Logs {
            console: &console,
            results: &results,
        };
        let run = boot::boot(&self.emulator, &kernel, &initramfs, &logs, LIMIT)?;
        fs::remove_file(&initramfs)
            .with_context(|| format!("cannot remove {}", initramfs.display()))?;
        println!("== {} s", run.took.as_secs());
        column(wanted.name, &kernel.release, &run)
            .with_context(|| format!("see {} and {}", results.display(), console.display()))
    }

    fn mirror(&self) -> Result<Mirror> {
        if let Some(mirror) = self.mirror.get() {
            return Ok(mirror.clone());
        }
        let mirror = machine_archive(&self.cache)?.mirror()?;
        Ok(self.mirror.get_or_init(|| mirror).clone())
    }
}

/// Where the machine's packages come from.
fn machine_archive(cache: &Path) -> Result<Archive> {
    let archive = Archive::of_machine(&cache.join("machine"))?;
    archive
        .update()
        .context("no package lists can be had: is there a network?")?;
    Ok(archive)
}

/// Builds the scenarios and puts them, without what only a debugger reads, into `directory`.
fn matrix(directory: &Path) -> Result<PathBuf> {
    let mut build = run::cargo(&["test", "--locked", "--no-run", "--message-format", "json"]);
    build.args(["--package", "mtu-trace-tests", "--test", "matrix"]);
    println!("== cargo test --no-run --package mtu-trace-tests --test matrix");
    let messages = run::output(&mut build)?;
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

/// What a machine's results say.
fn column(name: &str, release: &str, run: &Run) -> Result<Column> {
    let failed = match &run.end {
        End::Done(0 | 1) => None,
        End::Done(status) => Some(format!("the matrix ended with status {status}")),
        End::Panic(words) => Some(words.clone()),
        End::TimedOut(limit) => Some(format!("it did not end within {} s", limit.as_secs())),
        End::Early(last) => Some(format!("it ended early; its last words: {last}")),
    };
    let lines: Vec<Line> = run
        .part("lines")
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the matrix's lines cannot be read")?;
    let doctor = run.part("doctor");
    let doctor: Doctor = match serde_json::from_str(doctor) {
        Ok(doctor) => doctor,
        // What ended the machine is the better explanation.
        Err(_) if failed.is_some() => Doctor::default(),
        Err(_) => bail!("doctor says: {}", doctor.trim()),
    };
    let failed = failed.or_else(|| {
        let output = run.part("output").trim();
        lines
            .is_empty()
            .then(|| format!("no scenario was played: {output}"))
    });
    let left = run.part("left").trim();
    let failed = failed.or_else(|| (!left.is_empty()).then(|| format!("left behind: {left}")));
    Ok(Column {
        name: name.to_owned(),
        release: release.to_owned(),
        hooks: doctor.hooks,
        lines,
        failed,
    })
}
