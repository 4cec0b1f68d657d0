//! Measures how soon the picture of the network is there, how soon it follows, and what that takes.
//!
//! `cargo xtask bench topology` runs it. Arguments name the parts to run; without any, all are.

mod cycles;
mod following;
mod heap;
mod monitor;
mod mtu;
mod observed;
mod start;
mod table;

use std::env;

use anyhow::Result;
use lab::topology::Node;

use self::observed::Observed;
use self::table::Table;

fn main() -> Result<()> {
    // cargo itself adds `--bench`.
    let parts: Vec<String> = env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|it| it == part);
    let mut table = Table::default();
    if wanted("start") {
        start::measure(&mut table)?;
    }
    if wanted("following") || wanted("mtu") {
        let node = Node::default().build()?;
        if wanted("following") {
            following::control(&node, &mut table)?;
        }
        let observed = Observed::start()?;
        if wanted("following") {
            following::measure(&node, &observed, &mut table)?;
        }
        if wanted("mtu") {
            mtu::measure(&node, &observed, &mut table)?;
        }
    }
    if wanted("cycles") {
        cycles::measure(&mut table)?;
    }
    print!("{table}");
    Ok(())
}
