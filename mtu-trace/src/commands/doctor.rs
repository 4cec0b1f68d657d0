//! `doctor`: what this kernel and this user allow, and what is lost.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::base::text::wrap;
use crate::cli::{ColorChoice, DoctorOptions, TextOrJson, Tracing};
use crate::commands::output::style;
use crate::commands::trace::runtime;
use crate::commands::{LOCKED_DOWN, explain_refusal, kernel_release, load_options};
use crate::kernel::{
    CAPABILITIES, Effective, HOOKS, HostFacts, KernelTypes, LOST as WITHOUT_SYMBOLS, LiveTrace,
    Sizes, Symbols, refusal as lockdown_refusal,
};
use crate::model::hook_status::HookStatus;
use crate::model::store::Store;
use crate::show::report::Style;

#[derive(Serialize)]
struct Diagnosis {
    schema: &'static str,
    kernel: String,
    tool_version: &'static str,
    root: bool,
    checks: Vec<Check>,
    sizes: Room,
    hooks: Vec<HookStatus>,
}

/// How much room there is for what is kept.
#[derive(Serialize)]
struct Room {
    #[serde(flatten)]
    host: HostFacts,
    ring_bytes: u32,
    /// Entries of each store, by name.
    stores: BTreeMap<&'static str, u64>,
}

impl Room {
    fn of_this(tracing: &Tracing) -> Self {
        let host = HostFacts::of_this(tracing.memory);
        let sizes = Sizes::of(&host);
        let stores = Store::ALL.into_iter();
        Self {
            host,
            ring_bytes: sizes.ring_bytes,
            stores: stores.map(|it| (it.name(), sizes.bound(it))).collect(),
        }
    }

    /// The line of the answer for people.
    fn line(&self) -> String {
        let stores = self.stores.iter();
        let stores: Vec<String> = stores
            .map(|(name, bound)| format!("{name} {bound}"))
            .collect();
        format!(
            "room for what is kept, with {} MiB of memory: {} KiB of records; {}",
            self.host.memory_bytes >> 20,
            self.ring_bytes >> 10,
            stores.join(", ")
        )
    }
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

pub fn run(options: &DoctorOptions, color: ColorChoice) -> Result<u8> {
    let diagnosis = runtime()?.block_on(async { diagnose(options) })?;
    let mut stdout = io::stdout().lock();
    match options.format {
        TextOrJson::Json => {
            serde_json::to_writer_pretty(&mut stdout, &diagnosis)?;
            writeln!(stdout)?;
        }
        TextOrJson::Text => write(&diagnosis, &mut stdout, &style(color))?,
    }
    Ok(0)
}

impl Check {
    fn new(name: &'static str, outcome: Result<String, impl Display>) -> Self {
        let ok = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|error| error.to_string());
        Self { name, ok, detail }
    }
}

fn diagnose(options: &DoctorOptions) -> Result<Diagnosis> {
    let effective = Effective::current()?;
    let mut checks = Vec::new();
    for capability in CAPABILITIES {
        let purpose = capability.purpose;
        let outcome = match effective.has(capability) {
            true => Ok(purpose.to_owned()),
            false => Err(format!("missing: {purpose}")),
        };
        checks.push(Check::new(capability.name, outcome));
    }
    let btf = &options.tracing.btf;
    let types = KernelTypes::load(btf).map(|types| {
        let reasons = types.drop_reasons.len();
        format!("{}, {reasons} drop reasons", btf.display())
    });
    checks.push(Check::new("kernel types (BTF)", types));
    let symbols = Symbols::load().map(|_| "functions have names".to_owned());
    let symbols = symbols.map_err(|error| format!("{error}: {WITHOUT_SYMBOLS}"));
    checks.push(Check::new("kernel symbols", symbols));
    let lockdown = match lockdown_refusal() {
        Some(refusal) => Err(refusal),
        None => Ok("none that tracing minds".to_owned()),
    };
    checks.push(Check::new("kernel lockdown", lockdown));
    // The same way that `record` goes, so that what is said here is what happens there.
    let (loaded, hooks) = match LiveTrace::start(&load_options(&options.tracing)) {
        Ok(live) => (Ok("created".to_owned()), live.hooks()),
        Err(error) => {
            let why = format!("{:#}", explain_refusal(error, LOCKED_DOWN));
            let lost = "nothing could be loaded";
            let missing = HOOKS
                .iter()
                .map(|it| it.missing(it.best(), lost.to_owned()));
            (Err(why), missing.collect())
        }
    };
    checks.push(Check::new("ring buffer and maps", loaded));
    Ok(Diagnosis {
        schema: "mtu-trace/doctor/1",
        kernel: kernel_release(),
        tool_version: env!("CARGO_PKG_VERSION"),
        root: rustix::process::geteuid().is_root(),
        checks,
        sizes: Room::of_this(&options.tracing),
        hooks,
    })
}

fn write(diagnosis: &Diagnosis, to: &mut impl Write, style: &Style) -> io::Result<()> {
    let tool = style.strong(&format!("mtu-trace {}", diagnosis.tool_version));
    let user = match diagnosis.root {
        true => "",
        false => ", not as root: most hooks need it",
    };
    writeln!(to, "{tool} on kernel {}{user}\n", diagnosis.kernel)?;
    for check in &diagnosis.checks {
        let mark = if check.ok { "ok  " } else { "MISS" };
        let line = format!("{mark} {:<24} {}", check.name, check.detail);
        writeln!(to, "{}", if check.ok { line } else { style.fault(&line) })?;
    }
    for line in wrap(&diagnosis.sizes.line(), style.width) {
        writeln!(to, "{}", style.faint(&line))?;
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
        let missed = hook.is_missed();
        writeln!(to, "{}", if missed { style.fault(&line) } else { line })?;
        let (label, text) = match hook.attached {
            true => ("shows", &hook.shows),
            false => ("lost", &hook.lost),
        };
        if let Some(text) = text {
            writeln!(to, "     {}", style.faint(&format!("{label}: {text}")))?;
        }
    }
    let end = match diagnosis.checks.iter().all(|check| check.ok) {
        true => ".",
        false => "; see what is missing above.",
    };
    let works = HookStatus::tally(&diagnosis.hooks);
    writeln!(to, "\n{works} work{end}")
}
