//! The kernel's functions by their names on the kernel that runs.

use std::fs;
use std::sync::LazyLock;

use mtu_trace::testing::names;

/// The name of `function` on the kernel that runs.
pub fn on_this_kernel(function: &'static str) -> &'static str {
    static SYMBOLS: LazyLock<String> =
        LazyLock::new(|| fs::read_to_string("/proc/kallsyms").unwrap_or_default());
    let exists = |name: &&&str| {
        SYMBOLS
            .lines()
            .any(|line| line.split_whitespace().nth(2) == Some(name))
    };
    let names = names(function);
    names.iter().find(exists).copied().unwrap_or(function)
}
