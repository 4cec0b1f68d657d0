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
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use self::boot::{End, Logs, Run};
use self::emulator::Emulator;
use self::initramfs::Programs;
use self::kernels::{Kernel, Place, Wanted};
use self::packages::Archive;
use self::table::{Column, Doctor, Line};
use crate::{run, setup};

/// After this a machine hangs, even where two cores are shared with other work.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// What every test plays: the kernel that lacks most and the one that most machines run, and of each
/// kind of boundary one that is too small or one that is not.
const SUBSET: (&[&str], &[&str]) = (
    &["5.10", "6.1"],
    &[
        "A1", "A5b", "B1", "B3", "C1", "L2", "V2b", "V4", "X3", "N2", "W1",
    ],
);

/// Which kernels and which scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A few of both.
    Some,
    /// All of both.
    All,
}

/// Plays `scenarios`, beginnings of their names, on `kernels`; all of what is empty.
pub fn run(kernels: &[String], scenarios: &[String]) -> Result<()> {
    let mut places = Place::chosen(kernels)?;
    packages::require_apt()?;
    if !run::is_root() {
        ensure!(
            kernels.iter().all(|kernel| kernel != Place::HOST),
            "run this as root: here the scenarios build network namespaces"
        );
        println!("== not as root: not on the kernel that runs here");
        places.retain(|place| *place != Place::Host);
    }
    setup::run()?;
    let columns = play(&places, scenarios)?;
    print!("{}", table::render(&columns));
    verdict(&columns, |_| false)
}

/// The part of `cargo xtask test`. Where a kernel cannot be had, as without a network, it says so, and
/// that is no failure: what can be tested is.
pub fn test(extent: Extent) -> Result<()> {
    let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
    let (kernels, scenarios) = match extent {
        Extent::Some => SUBSET,
        Extent::All => (&[] as &[&str], &[] as &[&str]),
    };
    let places = Place::chosen(&owned(kernels))?;
    if let Err(error) = packages::require_apt() {
        println!("== no other kernels: {error:#}");
        return Ok(());
    }
    let columns = play(&places, &owned(scenarios))?;
    print!("{}", table::render(&columns));
    for absent in columns.iter().filter(|column| column.is_absent) {
        println!("== NOT TESTED on {}: it cannot be had here", absent.name);
    }
    verdict(&columns, |column| column.is_absent)
}

/// Fails unless all is right in `columns`, or excused.
fn verdict(columns: &[Column], is_excused: impl Fn(&Column) -> bool) -> Result<()> {
    let bad: Vec<&str> = columns
        .iter()
        .filter(|column| !column.is_right() && !is_excused(column))
        .map(|column| column.name.as_str())
        .collect();
    ensure!(
        bad.is_empty(),
        "not all is right on {}: see below the table",
        bad.join(", ")
    );
    Ok(())
}

/// Plays `scenarios` in all of `places`, one after the other.
fn play(places: &[Place], scenarios: &[String]) -> Result<Vec<Column>> {
    let bench = Bench::set_up(scenarios)?;
    let column = |place: &Place| {
        let played = match place {
            Place::Host => bench.play_here(),
            Place::Machine(wanted) => match bench.machine(wanted) {
                Ok(machine) => bench.play_on(wanted.name, &machine),
                Err(error) => return Column::absent(wanted.name, format!("{error:#}")),
            },
        };
        played.unwrap_or_else(|error| Column::failed(place.name(), format!("{error:#}")))
    };
    Ok(places.iter().map(column).collect())
}

/// What all kernels share.
struct Bench {
    /// What was downloaded.
    cache: PathBuf,
    /// What runs leave.
    logs: PathBuf,
    mtu_trace: PathBuf,
    matrix: PathBuf,
    scenarios: Vec<String>,
    /// Where the machine's packages come from; not asked where all is downloaded already.
    archive: OnceCell<Archive>,
}

impl Bench {
    fn set_up(scenarios: &[String]) -> Result<Self> {
        let target = run::target_directory()?.join("vm");
        let logs = target.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        run::step(&mut run::cargo(&[
            "build",
            "--locked",
            "--release",
            "--package",
            "mtu-trace",
        ]))?;
        Ok(Self {
            mtu_trace: run::mtu_trace_binary("release")?,
            matrix: matrix(&target)?,
            cache: target.join("cache"),
            logs,
            scenarios: scenarios.to_vec(),
            archive: OnceCell::new(),
        })
    }

    /// A kernel, and what boots it.
    fn machine(&self, wanted: &Wanted) -> Result<Machine> {
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
        archive
            .update()
            .context("no package lists can be had: is there a network?")?;
        Ok(self.archive.get_or_init(|| archive))
    }

    fn play_on(&self, name: &str, machine: &Machine) -> Result<Column> {
        println!("== matrix on {}", machine.kernel.release);
        let file = |extension: &str| self.logs.join(format!("{name}.{extension}"));
        let (initramfs, console, results) = (file("cpio"), file("console"), file("results"));
        let programs = Programs {
            mtu_trace: &self.mtu_trace,
            matrix: &self.matrix,
            busybox: &machine.busybox,
        };
        let settings = format!("SCENARIOS='{}'\n", self.scenarios.join(" "));
        initramfs::write(&initramfs, &machine.kernel, &programs, &settings)?;
        let logs = Logs {
            console: &console,
            results: &results,
        };
        let run = boot::boot(&machine.emulator, &machine.kernel, &initramfs, &logs, LIMIT)?;
        fs::remove_file(&initramfs)
            .with_context(|| format!("cannot remove {}", initramfs.display()))?;
        println!("== {} s", run.took.as_secs());
        column(name, &machine.kernel.release, &run)
            .with_context(|| format!("see {} and {}", results.display(), console.display()))
    }

    fn play_here(&self) -> Result<Column> {
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
            .args(&self.scenarios)
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
        Ok(Column {
            name: Place::HOST.to_owned(),
            release: doctor.kernel,
            hooks: doctor.hooks,
            lines: parse(&text)?,
            failed: (!matches!(status.code(), Some(0 | 1)))
                .then(|| format!("the matrix ended with {status}: see {}", output.display())),
            is_absent: false,
        })
    }
}

/// A virtual machine before it boots.
struct Machine {
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

/// What a machine's results say.
fn column(name: &str, release: &str, run: &Run) -> Result<Column> {
    let failed = match &run.end {
        End::Done(0 | 1) => None,
        End::Done(status) => Some(format!("the matrix ended with status {status}")),
        End::Panic(words) => Some(words.clone()),
        End::TimedOut(limit) => Some(format!("it did not end within {} s", limit.as_secs())),
        End::Early(last) => Some(format!("it ended early; its last words: {last}")),
    };
    let lines = parse(run.part("lines"))?;
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
        is_absent: false,
    })
}

/// The matrix's lines.
fn parse(lines: &str) -> Result<Vec<Line>> {
    lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the matrix's lines cannot be read")
}
