//! The selftests' own programs in C.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use lab::command;

/// Each by its source without `.c`, among the network's selftests, with where it belongs in the tree and
/// the library it needs: as the kernel's makefiles have it, and `nettest` where a shell finds it.
const HELPERS: [(&str, &str, Option<&str>); 3] = [
    (
        "netfilter/connect_close",
        "selftests/net/netfilter/connect_close",
        None,
    ),
    (
        "netfilter/nf_queue",
        "selftests/net/netfilter/nf_queue",
        Some("-lmnl"),
    ),
    ("nettest", "usr/local/bin/nettest", None),
];
/// Where Debian has its libraries.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Builds them in `root`, a tree with the C library's headers, from `selftests`: with this machine's
/// compiler, which also links what cargo builds, and the tree's libraries.
pub fn build(root: &Path, selftests: &Path) -> Result<()> {
    let libraries = root.join(LIBRARIES);
    for (source, program, library) in HELPERS {
        let mut cc = Command::new("cc");
        cc.arg("-O2").arg("--sysroot").arg(root);
        // Before this machine's own, which the compiler would look at first.
        cc.arg("-B").arg(&libraries).arg("-L").arg(&libraries);
        cc.arg("-o").arg(root.join(program));
        cc.arg(selftests.join(source).with_extension("c"))
            .args(library);
        command::status(&mut cc)?;
    }
    Ok(())
}
