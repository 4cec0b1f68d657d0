//! `doctor`: what this kernel and this user allow, and what is lost.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::cli::{ColorChoice, DoctorFormat, DoctorOptions};
use crate::commands::output::style;
use crate::commands::trace::runtime;
use crate::commands::{kernel_release, load_options};
use crate::kernel::{
    CAPABILITIES, Effective, HOOKS, KernelTypes, LOST as WITHOUT_SYMBOLS, LiveTrace, Symbols,
    refusal as lockdown_refusal,
};
use crate::model::hook_status::HookStatus;
use crate::show::report::Style;

#[derive(Serialize)]
struct Diagnosis {
    schema: &'static str,
    kernel: String,
    tool_version: &'static str,
    root: bool,
    checks: Vec<Check>,
    hooks: Vec<HookStatus>,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

/// Runs the command; gives the exit status.
pub fn run(options: &DoctorOptions, color: ColorChoice) -> Result<u8> {
    let diagnosis = runtime()?.block_on(async { diagnose(options) })?;
    let mut stdout = io::stdout().lock();
    match options.format {
        DoctorFormat::Json => {
            serde_json::to_writer_pretty(&mut stdout, &diagnosis)?;
            writeln!(stdout)?;
        }
        DoctorFormat::Text => write(&diagnosis, &mut stdout, &style(color))?,
    }
    Ok(0)
}

fn diagnose(options: &DoctorOptions) -> Result<Diagnosis> {
    let mut checks = capabilities()?;
    let btf = &options.tracing.btf;
    checks.push(match KernelTypes::load(btf) {
        Ok(types) => Check {
            name: "kernel types (BTF)",
            ok: true,
            detail: format!(
                "{}, {} drop reasons",
                btf.display(),
                types.drop_reasons.len()
            ),
        },
        Err(error) => Check {
            name: "kernel types (BTF)",
            ok: false,
            detail: error.to_string(),
        },
    });
    checks.push(match Symbols::load() {
        Ok(_) => Check {
            name: "kernel symbols",
            ok: true,
            detail: "functions have names".to_owned(),
        },
        Err(error) => Check {
            name: "kernel symbols",
            ok: false,
            detail: format!("{error}: {WITHOUT_SYMBOLS}"),
        },
    });
    let refusal = lockdown_refusal();
    checks.push(Check {
        name: "kernel lockdown",
        ok: refusal.is_none(),
        detail: refusal.unwrap_or("none that tracing minds").to_owned(),
    });
    // The same way that `record` goes, so that what is said here is what happens there.
    let hooks = match LiveTrace::start(&load_options(&options.tracing)) {
        Ok(live) => {
            checks.push(Check {
                name: "ring buffer and maps",
                ok: true,
                detail: "created".to_owned(),
            });
            live.hooks()
        }
        Err(error) => {
            checks.push(Check {
                name: "ring buffer and maps",
                ok: false,
                detail: format!(
                    "{:#}",
                    crate::commands::explain_refusal(error, crate::commands::LOCKED_DOWN)
                ),
            });
            HOOKS
                .iter()
                .map(|hook| hook.missing(hook.best(), "nothing could be loaded".to_owned()))
                .collect()
        }
    };
    Ok(Diagnosis {
        schema: "mtu-trace/doctor/1",
        kernel: kernel_release(),
        tool_version: env!("CARGO_PKG_VERSION"),
        root: rustix::process::geteuid().is_root(),
        checks,
        hooks,
    })
}

fn capabilities() -> Result<Vec<Check>> {
    let effective = Effective::current()?;
    Ok(CAPABILITIES
        .iter()
        .map(|capability| {
            let ok = effective.has(capability);
            Check {
                name: capability.name,
                ok,
                detail: if ok {
                    capability.purpose.to_owned()
                } else {
                    format!("missing: {}", capability.purpose)
                },
            }
        })
        .collect())
}

fn write(diagnosis: &Diagnosis, to: &mut impl Write, style: &Style) -> io::Result<()> {
    writeln!(
        to,
        "{} on kernel {}{}",
        style.strong(&format!("mtu-trace {}", diagnosis.tool_version)),
        diagnosis.kernel,
        if diagnosis.root {
            ""
        } else {
            ", not as root: most hooks need it"
        },
    )?;
    writeln!(to)?;
    for check in &diagnosis.checks {
        let mark = if check.ok { "ok  " } else { "MISS" };
        let line = format!("{mark} {:<24} {}", check.name, check.detail);
        writeln!(to, "{}", if check.ok { line } else { style.fault(&line) })?;
    }
    writeln!(to)?;
    for hook in &diagnosis.hooks {
        let mark = match (hook.attached, hook.optional) {
            (true, _) => "ok  ",
            (false, false) => "MISS",
            (false, true) => "none",
        };
        let how = match &hook.detail {
            Some(detail) => format!("{}: {detail}", hook.mechanism),
            None => hook.mechanism.clone(),
        };
        let line = format!("{mark} {:<24} {how}", hook.hook);
        writeln!(
            to,
            "{}",
            if hook.is_missed() {
                style.fault(&line)
            } else {
                line
            }
        )?;
        let (label, text) = if hook.attached {
            ("shows", &hook.shows)
        } else {
            ("lost", &hook.lost)
        };
        if let Some(text) = text {
            writeln!(to, "     {}", style.faint(&format!("{label}: {text}")))?;
        }
    }
    writeln!(to)?;
    writeln!(
        to,
        "{} work{}",
        HookStatus::tally(&diagnosis.hooks),
        if diagnosis.checks.iter().all(|check| check.ok) {
            "."
        } else {
            "; see what is missing above."
        },
    )
}
