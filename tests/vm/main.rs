//! The scenario matrix on Debian's kernels, in virtual machines that the emulator runs without any
//! help of the processor, with the release build that users get.

mod bench;
mod boot;
mod captured;
mod emulator;
mod initramfs;
mod kernels;
mod locked;
mod modules;
mod runs;
mod table;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use lab::packages::{self, Unreachable};
use lab::suites::{self, Vm};
use lab::{command, skips};

use self::bench::Bench;
use self::kernels::Place;
use self::runs::Selection;
use self::table::Column;

fn main() -> ExitCode {
    suites::exit(run(&Vm::parse()))
}

/// Runs the scenarios that are asked for on the kernels that are.
fn run(arguments: &Vm) -> Result<()> {
    let mut places = Place::chosen(&arguments.kernels);
    if let Err(missing) = packages::require_apt() {
        ensure!(arguments.within.is_some(), missing);
        skips::skip("other kernels", &missing.to_string());
        return Ok(());
    }
    if arguments.within.is_some() {
        // The other tests run all of them there.
        places.retain(|place| *place != Place::Host);
    } else if !command::is_root() {
        ensure!(
            arguments.kernels.iter().all(|kernel| kernel != Place::HOST),
            "run this as root: here the scenarios build network namespaces"
        );
        println!("== not as root: not on the kernel that runs here");
        places.retain(|place| *place != Place::Host);
    }
    let columns = run_on(&places, Selection::chosen(arguments))?;
    print!("{}", table::render(&columns));
    if arguments.within.is_some() {
        for absent in columns.iter().filter(|column| column.is_absent) {
            skips::skip(&format!("kernel {}", absent.name), "it cannot be had here");
        }
        return verdict(&columns, |column| column.is_absent);
    }
    verdict(&columns, |_| false)
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

/// Runs `selections` in all of `places`, one after the other.
fn run_on(places: &[Place], selections: Vec<Selection>) -> Result<Vec<Column>> {
    let bench = Bench::set_up(selections)?;
    let columns = |place: &Place| {
        let columns = match place {
            Place::Host => bench.run_here(),
            Place::Machine(wanted) => match bench.machine(wanted) {
                Ok(machine) => bench.run_on(wanted, &machine),
                Err(error) if error.is::<Unreachable>() => {
                    return vec![Column::absent(wanted.name, format!("{error:#}"))];
                }
                Err(error) => Err(error),
            },
        };
        let failed = |error| vec![Column::failed(place.name(), format!("{error:#}"))];
        columns.unwrap_or_else(failed)
    };
    Ok(places.iter().flat_map(columns).collect())
}
