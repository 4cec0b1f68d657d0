//! The kernel's own network selftests, which nobody here wrote: each alone and with the tracer beside
//! it. It must come to the same result, and the tracer must say nothing that its purpose contradicts.
//!
//! They come with Debian's package of the kernel's source at run time, and nothing of them is kept in
//! the repository. Each runs in a tree of Debian's programs, with a network, mounts and processes of its
//! own: here, as far as the kernel has what it tests, and the rest in a virtual machine.

mod case;
mod cases;
mod guest;
mod helpers;
mod inside;
mod table;
mod tree;
mod truth;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lab::machine::Store;
use lab::machine::kernels::KERNELS;
use lab::packages::{self, Unreachable};
use lab::suites::{self, Kselftest};
use lab::{binary, command, skips};

use self::case::{Case, Ended, Outcome};
use self::inside::Ground;
use self::tree::Tree;

/// What is not tested where nothing can be fetched.
const ALL: &str = "the kernel's own network selftests";
/// The kernel in whose source the selftests are, by its name among [`KERNELS`].
const SOURCE: &str = "6.12";

fn main() -> ExitCode {
    let arguments = Kselftest::parse();
    suites::exit(match run(&arguments) {
        Err(error) if arguments.within.is_some() && error.is::<Unreachable>() => {
            skips::skip(ALL, &format!("{error:#}"));
            Ok(())
        }
        outcome => outcome,
    })
}

fn run(arguments: &Kselftest) -> Result<()> {
    command::require_root("it makes network namespaces and loads kernel programs")?;
    let chosen = cases::chosen(&arguments.cases);
    ensure!(!chosen.is_empty(), "no case has such a name");
    if let Some(tree) = &arguments.inside {
        return run_inside(tree, &chosen);
    }
    packages::require_apt()?;
    let target = binary::target_directory()?;
    let logs = target.join("kselftest/logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    // Kernels and the emulator are those of the other suite in virtual machines.
    let store = Store::new(target.join("vm/cache"));
    let wanted = KERNELS.iter().find(|it| it.name == SOURCE);
    let wanted = wanted.with_context(|| format!("{SOURCE} is no kernel that is tested"))?;
    let tree = Tree::ready(&target.join("kselftest"), &store, wanted.suite)?;

    let is_wanted =
        |name: &str| arguments.kernels.is_empty() || arguments.kernels.iter().any(|it| it == name);
    let mut outcomes = Vec::new();
    if is_wanted(suites::HOST) {
        let ground = Ground::here(&tree.root, &logs);
        for case in &chosen {
            println!("== {} on the kernel that runs here", case.name);
            outcomes.push(ground.run(case)?);
        }
    }
    // What works here has shown what it can.
    let left: Vec<&Case> = chosen
        .into_iter()
        .filter(|case| {
            let worked = |it: &Outcome| it.case == case.name && matches!(it.alone, Ended::Passed);
            !outcomes.iter().any(worked)
        })
        .collect();
    if is_wanted(SOURCE) && !left.is_empty() {
        outcomes.extend(guest::run(&tree, &store, wanted, &left, &logs)?);
    }
    print!("{}", table::render(&outcomes));
    account(&outcomes, arguments)
}

/// Runs the cases where this program is in a virtual machine, and writes a line of each.
fn run_inside(tree: &Path, chosen: &[&Case]) -> Result<()> {
    let logs = std::env::temp_dir();
    let ground = Ground::guest(tree, &logs);
    for case in chosen {
        eprintln!("== {}", case.name);
        let outcome = ground.run(case)?;
        let line = serde_json::to_string(&outcome).context("an outcome is JSON")?;
        let mut to = io::stdout().lock();
        writeln!(to, "{line}").context("writing a line")?;
    }
    Ok(())
}

/// Counts what was tested nowhere, and fails where something is wrong.
fn account(outcomes: &[Outcome], arguments: &Kselftest) -> Result<()> {
    if arguments.within.is_some() {
        for (case, why) in table::untested(outcomes) {
            skips::skip(&format!("the kernel's {case}"), &why);
        }
    }
    let wrong: Vec<String> = outcomes
        .iter()
        .filter(|it| !it.is_right())
        .map(|it| format!("{} on {}", it.case, it.kernel))
        .collect();
    ensure!(wrong.is_empty(), "not right: {}", wrong.join(", "));
    Ok(())
}
