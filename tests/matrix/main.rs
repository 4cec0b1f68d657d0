//! The matrix: every scenario at once under one tracer, and for each the verdict that is expected and
//! the one that was found. Then the same with each hook switched off.
//!
//! ```text
//! matrix [NAME…]            only scenarios whose id begins so
//! MTU_TRACE_MATRIX=once     without the runs that lack a hook
//! ```
#![allow(missing_docs, reason = "a test binary")]

mod judge;
mod scenario;
mod scenarios;
mod stage;
mod table;

use std::process::ExitCode;

use anyhow::Result;

use crate::stage::Played;

/// The hooks a trace can do without, one at a time.
const HOOKS: [&str; 6] = [
    "skb:kfree_skb",
    "tcp:tcp_retransmit_skb",
    "sock:inet_sock_set_state",
    "icmp:icmp_send",
    "tc:ingress",
    "tc:egress",
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    // What `cargo test -- --option` passes to every test binary is none of ours.
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let chosen: Vec<_> = scenarios::all()
        .into_iter()
        .filter(|scenario| {
            names.is_empty()
                || names
                    .iter()
                    .any(|name| scenario.id.starts_with(name.as_str()))
        })
        .collect();
    if chosen.is_empty() {
        return Ok(true);
    }
    let mut fine = true;
    let played = Played::play(&chosen, None)?;
    fine &= table::print(&played);
    if std::env::var_os("MTU_TRACE_MATRIX").is_none_or(|how| how != "once") {
        for hook in HOOKS {
            let played = Played::play(&chosen, Some(hook))?;
            fine &= table::print(&played);
        }
    }
    Ok(fine)
}
