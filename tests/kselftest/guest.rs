//! The cases in a virtual machine.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::machine::boot::{End, Logs, Run};
use lab::machine::files::Files;
use lab::machine::kernels::{Kernel, Wanted};
use lab::machine::{Machine, Store};
use lab::side_by_side::each;
use lab::{binary, command};

use super::case::{Case, Ended, Outcome};
use super::tree::Tree;

const INIT: &str = include_str!("init");
/// This machine's programs that start a case.
const TOOLS: [&str; 4] = ["bash", "ip", "setpriv", "unshare"];
/// Which of a kernel's modules the cases may need, by their directories: what they ask for is known only
/// to themselves, and other drivers have no device there.
const MODULES: [&str; 6] = [
    "kernel/arch/",
    "kernel/crypto/",
    "kernel/drivers/net/",
    "kernel/lib/",
    "kernel/net/",
    "kernel/mm/",
];
/// How many virtual machines run at once, each with two processors: the cases wait more than they
/// compute.
const AT_ONCE: usize = 2;
/// After this the machine hangs, even where two processors are shared with other work.
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// Runs `cases` on the kernel that is `wanted`, in some machines at once.
pub fn run(
    tree: &Tree,
    store: &Store,
    wanted: &Wanted,
    cases: &[&Case],
    logs: &Path,
) -> Result<Vec<Outcome>> {
    let machine = store.machine(wanted)?;
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    println!("== {} cases on {}", names.len(), machine.kernel.release);
    let shares = names
        .chunks(names.len().div_ceil(AT_ONCE))
        .enumerate()
        .collect();
    let outcomes = each(AT_ONCE, shares, |(number, names)| {
        run_share(tree, &machine, number, names, logs)
    });
    let outcomes: Result<Vec<Vec<Outcome>>> = outcomes.into_iter().collect();
    Ok(outcomes?.concat())
}

/// Runs the cases called `names` in the machine that has this number.
fn run_share(
    tree: &Tree,
    machine: &Machine,
    number: usize,
    names: &[&str],
    logs: &Path,
) -> Result<Vec<Outcome>> {
    let file = |name: &str| logs.join(format!("guest{number}.{name}"));
    let (initramfs, console, results) = (file("cpio"), file("console"), file("results"));
    write(&initramfs, &machine.kernel, &machine.busybox, names)?;
    append(&initramfs, &tree.root, &machine.busybox)?;
    let logs = Logs {
        console: &console,
        results: &results,
    };
    let run = machine.boot(&initramfs, &logs, LIMIT)?;
    fs::remove_file(&initramfs)
        .with_context(|| format!("cannot remove {}", initramfs.display()))?;
    println!("== {} s; see {}", run.took.as_secs(), console.display());
    outcomes(&run, names, &machine.kernel.release)
}

/// Writes the archive of all but the tree.
fn write(path: &Path, kernel: &Kernel, busybox: &Path, names: &[&str]) -> Result<()> {
    let mut files = Files::default();
    files.add_init(INIT);
    files.add("cases", names.join(" ").into_bytes());
    files.copy(busybox, "bin/busybox")?;
    let dependencies = kernel.dependencies()?;
    let modules = dependencies
        .lines()
        .filter_map(|line| line.split(':').next())
        .filter(|file| MODULES.iter().any(|directory| file.starts_with(directory)))
        .collect();
    files.add_modules(kernel, busybox, &modules)?;
    let own = std::env::current_exe().context("this program's own path")?;
    let mtu_trace = binary::mtu_trace();
    let tested = [
        (mtu_trace.as_path(), "mtu-trace"),
        (own.as_path(), "kselftest"),
    ];
    files.add_programs(&tested, &TOOLS)?;
    files.write_to(path)
}

/// Appends the tree, which the kernel unpacks as a second archive.
fn append(path: &Path, tree: &Path, busybox: &Path) -> Result<()> {
    let parent = tree.parent().context("the tree has a parent")?;
    let name = tree.file_name().context("the tree has a name")?;
    let mut find = Command::new("find");
    find.arg(name).current_dir(parent).stdout(Stdio::piped());
    let mut find = find.spawn().context("cannot start find")?;
    let names = find.stdout.take().context("its output is piped")?;
    let to = OpenOptions::new().append(true).open(path);
    let to = to.with_context(|| format!("cannot write {}", path.display()))?;
    pad(&to)?;
    let mut cpio = Command::new(busybox);
    cpio.args(["cpio", "--quiet", "-o", "-H", "newc"])
        .current_dir(parent)
        .stdin(names)
        .stdout(to);
    command::status(&mut cpio)?;
    let status = find.wait().context("waiting for find")?;
    ensure!(status.success(), "find ended with {status}");
    Ok(())
}

/// Fills `archive` up to where the next one may begin: a multiple of four (`unpack_to_rootfs` in the
/// kernel).
fn pad(mut archive: &File) -> Result<()> {
    let length = archive.metadata().context("an archive's length")?.len();
    let missing = length.next_multiple_of(4) - length;
    io::copy(&mut io::Read::take(io::repeat(0), missing), &mut archive)
        .map(drop)
        .context("filling an archive up")
}

/// What became of the cases called `names`.
fn outcomes(run: &Run, names: &[&str], release: &str) -> Result<Vec<Outcome>> {
    let lines = run.part("lines");
    // A machine that was ended may have been writing one.
    let whole = &lines[..lines.rfind('\n').map_or(0, |end| end + 1)];
    let mut outcomes: Vec<Outcome> = whole
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no outcome: {line}")))
        .collect::<Result<_>>()?;
    for name in names {
        if !outcomes.iter().any(|it| it.case == *name) {
            outcomes.push(missing(name, release, &run.end));
        }
    }
    Ok(outcomes)
}

/// A case to which the machine did not come.
fn missing(case: &str, release: &str, end: &End) -> Outcome {
    Outcome {
        case: case.to_owned(),
        kernel: release.to_owned(),
        alone: Ended::Hung,
        traced: None,
        events: 0,
        findings: Vec::new(),
        words: String::new(),
        trouble: Some(match end {
            End::Done => "the machine did not come to it".to_owned(),
            End::Panic(words) => words.clone(),
            End::TimedOut(limit) => {
                format!("the machine did not end within {} s", limit.as_secs())
            }
            End::Early(last) => format!("the machine ended early; its last words: {last}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lab::machine::boot::{End, Run};

    use super::outcomes;
    use crate::case::Ended;

    #[test]
    fn what_a_machine_did_not_come_to_is_told() {
        let line = r#"{"case": "a", "kernel": "6.12", "alone": "skipped", "traced": null,
            "events": 0, "findings": [], "words": "", "trouble": null}"#
            .replace('\n', " ");
        let run = Run {
            end: End::Panic("Kernel panic".to_owned()),
            results: format!("=== lines\n{line}\n{{\"case\": \"b\""),
            took: Duration::ZERO,
        };
        let outcomes = outcomes(&run, &["a", "b"], "6.12").unwrap();
        let ended: Vec<_> = outcomes
            .iter()
            .map(|it| (it.case.as_str(), it.alone))
            .collect();
        assert_eq!(ended, [("a", Ended::Skipped), ("b", Ended::Hung)]);
        assert!(outcomes[0].is_right() && !outcomes[1].is_right());
    }
}
