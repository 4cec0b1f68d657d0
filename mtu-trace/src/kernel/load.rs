//! Loads the kernel programs, each on its own, and attaches those that are not bound to a device.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    programs::{Program, ProgramError, RawTracePoint, SchedClassifier},
};
use mtu_trace_common::layout::{ABSENT, Member};

use crate::{
    host::netns::NetnsFile,
    kernel::{
        btf::{KernelTypes, VMLINUX},
        hooks::{HOOKS, Hook, Mechanism, Way},
        lockdown,
        probes::Probes,
    },
    model::hook_status::HookStatus,
};

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The kernel's type information.
    pub btf: PathBuf,
    /// Hooks to leave out, by name.
    pub without: Vec<String>,
    /// The one mechanism to use where a hook has several.
    pub mechanism: Option<Mechanism>,
    /// Level of the programs' own diagnostics, as `aya-log` numbers it; 0 is silent.
    pub log_level: u8,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            btf: PathBuf::from(VMLINUX),
            without: Vec::new(),
            mechanism: None,
            log_level: 0,
        }
    }
}

impl LoadOptions {
    /// The ways to try for a hook, in order.
    pub fn ways(&self, hook: &'static Hook) -> Vec<&'static Way> {
        let forced = |way: &&Way| Some(way.mechanism.facility()) == self.mechanism;
        if hook.ways.iter().any(|way| forced(&way)) {
            hook.ways.iter().filter(forced).collect()
        } else {
            hook.ways.iter().collect()
        }
    }

    fn is_left_out(&self, hook: &Hook) -> bool {
        self.without.iter().any(|name| name == hook.name)
    }
}

/// The loaded programs.
pub struct Loaded {
    /// Maps and attached programs; dropping it detaches them.
    pub ebpf: Ebpf,
    /// What the decoder needs of the kernel's types.
    pub types: KernelTypes,
    /// What became of the hooks that are not bound to a device.
    pub hooks: Vec<HookStatus>,
    /// The hooks whose programs the kernel accepted and that are attached device by device.
    pub per_device: Vec<&'static Hook>,
}

/// How a sentence begins about what the kernel does not want.
const REFUSED: &str = "the kernel refused";

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mtu-trace-ebpf"));

/// Loads every program and attaches what can be attached at once. A hook that the kernel refuses
/// is reported in [`Loaded::hooks`], and the others go on.
///
/// # Errors
///
/// If the kernel's types cannot be read, or it accepts no maps at all (most often for want of
/// privileges).
pub fn load(options: &LoadOptions) -> Result<Loaded> {
    let mut types = KernelTypes::load(&options.btf)?;
    if !has_netns_cookies() {
        // Both sides must know a namespace by the same number: its inode then.
        types.table[Member::NetCookie as usize] = ABSENT;
    }
    allow_locked_memory();
    let mut ebpf = EbpfLoader::new()
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("LAYOUT", types.table.as_slice(), true)
        .override_global("AYA_LOG_LEVEL", &options.log_level, true)
        .load(OBJECT)
        .context("cannot create the kernel maps")?;
    let mut probes = Probes::new(&options.btf);
    let refusal = lockdown::refusal();
    let mut hooks = Vec::new();
    let mut per_device = Vec::new();
    for hook in HOOKS {
        if options.is_left_out(hook) {
            hooks.push(hook.missing(hook.best(), "left out by --without".to_owned()));
            continue;
        }
        match start(&mut ebpf, &mut probes, hook, options) {
            Ok(Started::Attached(mechanism)) => {
                hooks.push(hook.attached(mechanism, None));
            }
            Ok(Started::PerDevice) => per_device.push(hook),
            Err((mechanism, why)) => {
                // The kernel's own words are about a function that programs may not call then, if it
                // has any.
                let refused = why.contains(REFUSED);
                let why = refusal.filter(|_| refused).map_or(why, str::to_owned);
                hooks.push(hook.missing(mechanism, why));
            }
        }
    }
    Ok(Loaded {
        ebpf,
        types,
        hooks,
        per_device,
    })
}

enum Started {
    Attached(Mechanism),
    PerDevice,
}

/// Tries one way after the other; if none goes, says why each does not.
fn start(
    ebpf: &mut Ebpf,
    probes: &mut Probes,
    hook: &'static Hook,
    options: &LoadOptions,
) -> Result<Started, (Mechanism, String)> {
    let ways = options.ways(hook);
    let mut refusals: Vec<(Mechanism, String)> = Vec::new();
    for way in &ways {
        let started = match way.mechanism {
            Mechanism::RawTracepoint => raw_tracepoint(ebpf, way).map_err(|error| reason(&error)),
            Mechanism::Tcx | Mechanism::Clsact => {
                classifier(ebpf, way).map_err(|error| reason(&error))
            }
            Mechanism::Fentry | Mechanism::Fexit | Mechanism::Kprobe | Mechanism::Kretprobe => {
                probes
                    .attach(ebpf, way)
                    .map(|()| Started::Attached(way.mechanism))
            }
        };
        match started {
            Ok(started) => return Ok(started),
            Err(why) => refusals.push((way.mechanism, why)),
        }
    }
    let last = refusals.last().map_or(hook.best(), |(last, _)| *last);
    let mut reasons: Vec<String> = refusals.into_iter().map(|(_, why)| why).collect();
    reasons.dedup();
    Err((last, reasons.join("; ")))
}

fn raw_tracepoint(ebpf: &mut Ebpf, way: &Way) -> Result<Started, ProgramError> {
    for name in way.programs {
        let program: &mut RawTracePoint = program(ebpf, name)?.try_into()?;
        program.load()?;
        program.attach(way.target)?;
    }
    Ok(Started::Attached(way.mechanism))
}

fn classifier(ebpf: &mut Ebpf, way: &Way) -> Result<Started, ProgramError> {
    for name in way.programs {
        let program: &mut SchedClassifier = program(ebpf, name)?.try_into()?;
        program.load()?;
    }
    Ok(Started::PerDevice)
}

/// A program of the object by its name.
pub(crate) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)
}

/// Whether user space can ask for a namespace's cookie (`SO_NETNS_COOKIE`, Linux 5.14); kernels
/// before that have the member already.
fn has_netns_cookies() -> bool {
    NetnsFile::current().is_ok_and(|own| own.cookie.is_some())
}

/// Before Linux 5.11 maps are charged to the locked-memory limit. Without the right to raise it
/// the kernel says so when a map is created, which is the better message.
fn allow_locked_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    let _refused = setrlimit(Resource::Memlock, unlimited);
}

/// The part of an error that a reader can use: the kernel's own words, and the last line of the
/// verifier's log if there is one.
pub(crate) fn reason(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            let log = verifier_log.to_string();
            // The verifier ends with statistics; the line before them says what is wrong.
            let statistics = [
                "processed ",
                "insns processed ",
                "verification time ",
                "stack depth ",
            ];
            let last = log.lines().rev().find(|line| {
                !line.trim().is_empty() && !statistics.iter().any(|start| line.starts_with(start))
            });
            match last {
                Some(line) => format!("{REFUSED} the program: {io_error} ({line})"),
                None => format!("{REFUSED} the program: {io_error}"),
            }
        }
        ProgramError::SyscallError(error) => {
            format!("{REFUSED} the hook: {}", error.io_error)
        }
        other => other.to_string(),
    }
}
