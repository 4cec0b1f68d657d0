//! The programs that the tests run, on machines whose packages setup does not know.

use anyhow::{Result, ensure};

use crate::bpf_toolchain;

/// The programs the lab runs, each with the project it comes from.
const TOOLS: [(&str, &str); 8] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("ethtool", "ethtool"),
    ("wg", "wireguard-tools"),
    ("tshark", "Wireshark"),
    ("capinfos", "Wireshark"),
    ("zstd", "zstd"),
];

/// Fails with the names of what is missing.
pub fn check() -> Result<()> {
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|(program, _)| bpf_toolchain::program(program).is_none())
        .map(|(program, project)| format!("{program} (of {project})"))
        .collect();
    ensure!(
        missing.is_empty(),
        "the tests need {}: install what is missing and run `cargo xtask setup` again",
        missing.join(", ")
    );
    println!("setup: tools ok");
    Ok(())
}
