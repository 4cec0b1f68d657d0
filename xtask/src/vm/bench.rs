//! The programs under test, brought to a kernel, and what they leave there.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::boot::{self, End, Logs, Run};
use super::emulator::{self, Emulator};
use super::initramfs::{self, Programs};
use super::kernels::{Kernel, Place, Wanted};
use super::packages::Archive;
use super::table::{Column, Doctor, Line};
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
    scenarios: Vec<String>,
    /// Where the machine's packages come from; not asked where all is downloaded already.
    archive: OnceCell<Archive>,
}

impl Bench {
    /// Builds what is under test.
    pub fn set_up(scenarios: &[String]) -> Result<Self> {
        let target = run::target_directory()?.join("vm");
        let logs = target.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(Self {
            mtu_trace: run::build_mtu_trace(Profile::Release)?,
            matrix: matrix(&target)?,
            cache: target.join("cache"),
            logs,
            scenarios: scenarios.to_vec(),
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
    pub fn play_on(&self, wanted: &Wanted, machine: &Machine) -> Result<Column> {
        let Wanted { name, lacks, .. } = *wanted;
        println!("== matrix on {}", machine.kernel.release);
        let file = |extension: &str| self.logs.join(format!("{name}.{extension}"));
        let (initramfs, console, results) = (file("cpio"), file("console"), file("results"));
        let programs = Programs {
            mtu_trace: &self.mtu_trace,
            matrix: &self.matrix,
            busybox: &machine.busybox,
        };
        let settings = format!(
            "SCENARIOS='{}'\nLACKING='{}'\n",
            self.scenarios.join(" "),
            lacks.unwrap_or_default()
        );
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

    /// Plays them on the kernel that runs.
    pub fn play_here(&self) -> Result<Column> {
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
        let lines = parse(&text)?;
        let failed = match status.code() {
            Some(0 | 1) if lines.is_empty() => {
                Some(idle(&fs::read_to_string(&output).unwrap_or_default()))
            }
            Some(code) if is_told(code, &lines) => None,
            _ => Some(format!(
                "the matrix ended with {status}: see {}",
                output.display()
            )),
        };
        Ok(Column {
            name: Place::HOST.to_owned(),
            release: doctor.kernel,
            hooks: doctor.hooks,
            lines,
            failed,
            is_absent: false,
        })
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

/// What a machine's results say.
fn column(name: &str, release: &str, run: &Run) -> Result<Column> {
    // A machine that was ended may have been writing one.
    let whole = run.part("lines");
    let whole = &whole[..whole.rfind('\n').map_or(0, |end| end + 1)];
    let lines = parse(whole)?;
    let failed = match &run.end {
        // That nothing was played is told better below.
        End::Done(0 | 1) if lines.is_empty() => None,
        End::Done(status) if is_told(*status, &lines) => None,
        End::Done(status) => Some(format!("the matrix ended with status {status}")),
        End::Panic(words) => Some(words.clone()),
        End::TimedOut(limit) => Some(format!("it did not end within {} s", limit.as_secs())),
        End::Early(last) => Some(format!("it ended early; its last words: {last}")),
    };
    let doctor = run.part("doctor");
    let doctor: Doctor = match serde_json::from_str(doctor) {
        Ok(doctor) => doctor,
        // What ended the machine is the better explanation.
        Err(_) if failed.is_some() => Doctor::default(),
        Err(_) => bail!("doctor says: {}", doctor.trim()),
    };
    let failed = failed.or_else(|| lines.is_empty().then(|| idle(run.part("output"))));
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

/// Whether the lines say why the matrix ended with this status: 0 if all is right, 1 if not.
fn is_told(status: i32, lines: &[Line]) -> bool {
    let wrong = lines.iter().any(|line| !line.faults.is_empty());
    status == i32::from(wrong)
}

/// Why no scenario was played, with what the matrix printed.
fn idle(output: &str) -> String {
    match output.trim() {
        "" => "no scenario has such a name".to_owned(),
        output => format!("no scenario was played: {output}"),
    }
}

/// The matrix's lines.
fn parse(lines: &str) -> Result<Vec<Line>> {
    lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the matrix's lines cannot be read")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::column;
    use crate::vm::boot::{End, Run};

    const RESULTS: &str = concat!(
        "=== doctor\n",
        r#"{"kernel": "6.1.0", "hooks": [{"hook": "tc:egress", "mechanism": "tc", "attached": true, "detail": null}]}"#,
        "\n=== lines\n",
        r#"{"id": "A1", "what": "w", "expected": null, "got": [], "faults": [], "missed": false, "skipped": null}"#,
        "\n=== output\nmatrix\n=== left\n",
    );

    fn run(end: End, results: &str) -> Run {
        Run {
            end,
            results: results.to_owned(),
            took: Duration::from_secs(1),
        }
    }

    /// Why a machine that ended so failed.
    fn failed(end: End, results: &str) -> Option<String> {
        column("6.1", "6.1.0", &run(end, results)).unwrap().failed
    }

    #[test]
    fn a_machine_that_did_its_work_has_not_failed() {
        let done = column("6.1", "6.1.0", &run(End::Done(0), RESULTS)).unwrap();
        assert_eq!(done.failed, None);
        assert_eq!(done.hooks[0].mechanism, "tc");
        assert_eq!(done.lines[0].id, "A1");
        assert!(done.is_right());
    }

    #[test]
    fn what_ended_a_machine_is_told_with_what_it_left() {
        let panic = "Kernel panic - not syncing";
        assert_eq!(
            failed(End::Panic(panic.to_owned()), "").as_deref(),
            Some(panic)
        );
        assert_eq!(
            failed(End::TimedOut(Duration::from_secs(9)), RESULTS).as_deref(),
            Some("it did not end within 9 s")
        );
        assert_eq!(
            failed(End::Early("login:".to_owned()), "=== doctor\n{").as_deref(),
            Some("it ended early; its last words: login:")
        );
        // Also where nothing it wrote is wrong.
        for status in [1, 2, 101] {
            assert_eq!(
                failed(End::Done(status), RESULTS),
                Some(format!("the matrix ended with status {status}"))
            );
        }
        let wrong = RESULTS.replace(r#""faults": []"#, r#""faults": ["w"]"#);
        assert_eq!(failed(End::Done(1), &wrong), None);
    }

    #[test]
    fn a_machine_that_played_nothing_or_left_something_has_failed() {
        let empty =
            "=== doctor\n{\"kernel\": \"6.1.0\", \"hooks\": []}\n=== lines\n=== output\nwhy\n";
        assert_eq!(
            failed(End::Done(1), empty).as_deref(),
            Some("no scenario was played: why")
        );
        assert_eq!(
            failed(End::Done(0), &format!("{RESULTS}mtl1x0-in\n")).as_deref(),
            Some("left behind: mtl1x0-in")
        );
        assert!(
            column(
                "6.1",
                "6.1.0",
                &run(End::Done(0), "=== doctor\nno kernel\n")
            )
            .is_err()
        );
    }
}
