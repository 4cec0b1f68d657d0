//! The matrix: every scenario at once under one tracer, and for each the verdict that is expected and
//! the one that was found. Then the same with each hook switched off.
//!
//! ```text
//! matrix [NAME…]            only scenarios whose id begins so
//! MTU_TRACE_MATRIX=once     without the runs that lack a hook
//! MTU_TRACE_MATRIX=HOOK     only the run that lacks this one
//! MTU_TRACE_MATRIX_MECHANISM=HOW  the tracer's --mechanism
//! MTU_TRACE_MATRIX_CAPTURE=NAME  what the tracer records last goes to NAME.pcapng, its report to NAME.json
//! MTU_TRACE_MATRIX_LINES=FILE  the same as lines of JSON, for another program
//! MTU_TRACE_MATRIX_BATCH=NUMBER  so many under one tracer, then the next: all stay until its end, which
//!                           is much for a slow machine
//! ```
//!
//! Ends with 0 if all is right, 1 if not, and 2 if it could not be played to its end.
#![allow(missing_docs, reason = "a test binary")]

mod judge;
mod lines;
mod scenario;
mod scenarios;
mod stage;
mod table;

use std::{num::NonZeroUsize, process::ExitCode};

use anyhow::{Context, Result, ensure};

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
            ExitCode::from(2)
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
    let how = std::env::var("MTU_TRACE_MATRIX").unwrap_or_default();
    let (whole, without): (bool, Vec<&'static str>) = match how.as_str() {
        "" => (true, HOOKS.to_vec()),
        "once" => (true, Vec::new()),
        only => (
            false,
            HOOKS.into_iter().filter(|hook| *hook == only).collect(),
        ),
    };
    ensure!(whole || !without.is_empty(), "no hook is called {how}");
    let batch = match std::env::var("MTU_TRACE_MATRIX_BATCH") {
        Ok(number) => number
            .parse::<NonZeroUsize>()
            .with_context(|| format!("MTU_TRACE_MATRIX_BATCH is no number: {number}"))?
            .get(),
        Err(_) => chosen.len(),
    };
    let mut lines = lines::Lines::asked_for()?;
    let mut fine = true;
    for without in whole
        .then_some(None)
        .into_iter()
        .chain(without.into_iter().map(Some))
    {
        for batch in chosen.chunks(batch) {
            let played = Played::play(batch, without)?;
            fine &= table::print(&played);
            lines.write(&played)?;
        }
    }
    Ok(fine)
}
