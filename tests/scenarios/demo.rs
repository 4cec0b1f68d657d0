//! The demonstration, as `cargo xtask demo` runs it.

use anyhow::{Result, ensure};
use lab::binary::mtu_trace;

#[test]
fn demo_draws_the_fault_and_names_it() -> Result<()> {
    let mut out = Vec::new();
    let found = lab::demo::run(&mtu_trace(), &mut out)?;
    let out = String::from_utf8(out)?;
    ensure!(found, "no mtu-black-hole in {out}");
    for word in [
        "docker0",
        "ip_forward",
        "1450",
        "1500",
        "OUTPUT",
        "192.0.2.2",
    ] {
        ensure!(out.contains(word), "no {word} in {out}");
    }
    Ok(())
}
