//! `cargo xtask vm`: the scenario matrix on Debian's kernels, in virtual machines that the emulator
//! runs without any help of the processor, with the release build that users get.

mod bench;
mod boot;
mod captured;
mod emulator;
mod initramfs;
mod kernels;
mod locked;
mod modules;
mod plays;
mod table;

use anyhow::{Result, ensure};

use self::bench::Bench;
use self::kernels::Place;

pub use self::plays::How;
use self::plays::Play;
use self::table::Column;
use crate::packages::{self, Unreachable};
use crate::{run, setup};

/// Plays `scenarios`, beginnings of their names, on `kernels` by the mechanisms `hows`; all of what is
/// empty.
pub fn run(kernels: &[String], hows: &[How], scenarios: &[String]) -> Result<()> {
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
    let columns = play(&places, Play::chosen(hows, scenarios))?;
    print!("{}", table::render(&columns));
    verdict(&columns, |_| false)
}

/// The part of `cargo xtask test`: on each kernel a few scenarios, or all when `full`. Where a kernel
/// cannot be had, as without a network, it says so, and that is no failure: what can be tested is.
pub fn test(full: bool) -> Result<()> {
    let mut places = Place::chosen(&[])?;
    // The other tests play all of them there.
    places.retain(|place| *place != Place::Host);
    if let Err(error) = packages::require_apt() {
        println!("== no other kernels: {error:#}");
        return Ok(());
    }
    let plays = if full {
        Play::chosen(&[], &[])
    } else {
        Play::few()
    };
    let columns = play(&places, plays)?;
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

/// Does `plays` in all of `places`, one after the other.
fn play(places: &[Place], plays: Vec<Play>) -> Result<Vec<Column>> {
    let bench = Bench::set_up(plays)?;
    let columns = |place: &Place| {
        let played = match place {
            Place::Host => bench.play_here(),
            Place::Machine(wanted) => match bench.machine(wanted) {
                Ok(machine) => bench.play_on(wanted, &machine),
                Err(error) if error.is::<Unreachable>() => {
                    return vec![Column::absent(wanted.name, format!("{error:#}"))];
                }
                Err(error) => Err(error),
            },
        };
        let failed = |error| vec![Column::failed(place.name(), format!("{error:#}"))];
        played.unwrap_or_else(failed)
    };
    Ok(places.iter().flat_map(columns).collect())
}
