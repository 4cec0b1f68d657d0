//! The scenario matrix on Debian's kernels, in virtual machines that the emulator runs without any
//! help of the processor, with the release build that users get.

mod bench;
mod captured;
mod initramfs;
mod locked;
mod modules;
mod place;
mod runs;
mod table;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use lab::side_by_side::each;
use lab::suites::{self, Extent, Vm};
use lab::{command, packages, skips};

use self::bench::Bench;
use self::place::Place;
use self::runs::FEW_KERNELS;
use self::table::Column;

/// How many virtual machines run at once, each with two processors: on two cores more would only
/// wait for each other.
const AT_ONCE: usize = 2;

fn main() -> ExitCode {
    suites::exit(run(Vm::parse()))
}

/// Runs the scenarios that are asked for on the kernels that are.
fn run(arguments: Vm) -> Result<()> {
    let mut places = Place::chosen(&arguments.kernels);
    if let Err(missing) = packages::require_apt() {
        ensure!(arguments.within.is_some(), missing);
        skips::skip("other kernels", &missing.to_string());
        return Ok(());
    }
    if arguments.within.is_some() {
        // The other tests run all of them there.
        places.retain(|place| *place != Place::Host);
        if arguments.within == Some(Extent::Few) {
            places.retain(|place| FEW_KERNELS.contains(&place.name()));
        }
    } else if !command::is_root() {
        ensure!(
            arguments.kernels.iter().all(|kernel| kernel != Place::HOST),
            "run this as root: here the scenarios build network namespaces"
        );
        println!("== not as root: not on the kernel that runs here");
        places.retain(|place| *place != Place::Host);
    }
    let within = arguments.within;
    let columns = run_on(&places, arguments)?;
    print!("{}", table::render(&columns));
    if within.is_none() {
        return verdict(&columns, |_| false);
    }
    for column in &columns {
        if column.is_absent {
            skips::skip(&format!("kernel {}", column.name), "it cannot be had here");
        }
        for (kind, ids) in column.skipped() {
            let what = format!("{} on kernel {}", ids.join(", "), column.name);
            skips::skip(&what, &format!("it has no {kind}"));
        }
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

/// Runs what is asked for in all of `places`: here alone, since nothing may disturb what has to come in
/// time, and in the virtual machines some at once, since they wait as well as compute.
fn run_on(places: &[Place], arguments: Vm) -> Result<Vec<Column>> {
    let bench = Bench::set_up(arguments)?;
    let mut columns = Vec::new();
    if places.contains(&Place::Host) {
        let here = bench.run_here();
        columns.extend(here.unwrap_or_else(|error| vec![Column::missing(Place::HOST, &error)]));
    }
    let wanted = places.iter().filter_map(|place| match place {
        Place::Host => None,
        Place::Machine(wanted) => Some(*wanted),
    });
    // What is not here yet is fetched one after the other.
    let machines = wanted
        .map(|wanted| (wanted, bench.machine(wanted)))
        .collect();
    let found = each(AT_ONCE, machines, |(wanted, machine)| {
        let columns = machine.and_then(|machine| bench.run_on(wanted, &machine));
        columns.unwrap_or_else(|error| vec![Column::missing(wanted.name, &error)])
    });
    columns.extend(found.into_iter().flatten());
    Ok(columns)
}
