//! Loads the kernel programs, each on its own, and attaches those that are not bound to a device.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use aya::programs::{ProgramError, RawTracePoint, SchedClassifier};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use mtu_trace_common::layout::{ABSENT, Member};

use crate::host::netns::NetnsFile;
use crate::kernel::btf::{KernelTypes, VMLINUX};
use crate::kernel::capabilities;
use crate::kernel::evictions::KERNEL_MAPS;
use crate::kernel::hooks::{AttachPoint, Attachment, HOOKS, Mechanism, TraceHook};
use crate::kernel::maps::RECORDS;
use crate::kernel::probes::Probes;
use crate::kernel::program::{Refusal, program};
use crate::kernel::sizes::{HostFacts, Sizes};
use crate::model::hook_status::HookStatus;

/// What of the programs to load, and how.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The kernel's type information.
    pub btf: PathBuf,
    /// Hooks to leave out, by name.
    pub without: Vec<String>,
    /// The one mechanism to use where a hook has several.
    pub mechanism: Option<Mechanism>,
    /// Memory for what is kept, bytes; `None` for what this host allows.
    pub memory_bytes: Option<u64>,
    /// Level of the programs' own diagnostics, as `aya-log` numbers it; 0 is silent.
    pub log_level: u8,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            btf: PathBuf::from(VMLINUX),
            without: Vec::new(),
            mechanism: None,
            memory_bytes: None,
            log_level: 0,
        }
    }
}

impl LoadOptions {
    /// The attachments to try for a hook, in order.
    pub fn attachments(&self, hook: &'static TraceHook) -> Vec<&'static Attachment> {
        let is_forced = |it: &&Attachment| Some(it.mechanism.facility()) == self.mechanism;
        let forced: Vec<_> = hook.attachments.iter().filter(is_forced).collect();
        if forced.is_empty() {
            hook.attachments.iter().collect()
        } else {
            forced
        }
    }
}

/// The loaded programs, and what became of their hooks.
pub struct Loaded {
    /// Maps and attached programs; dropping it detaches them.
    pub ebpf: Ebpf,
    /// What the decoder needs of the kernel's types.
    pub types: KernelTypes,
    /// What became of the hooks that are not bound to a device.
    pub hooks: Vec<HookStatus>,
    /// How much room there is for what is kept.
    pub sizes: Sizes,
    /// The hooks whose programs the kernel accepted and that are attached device by device.
    pub per_device: Vec<&'static TraceHook>,
}

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mtu-trace-ebpf"));

/// Loads every program and attaches what can be attached at once. A hook that the kernel refuses
/// is reported in [`Loaded::hooks`], and the others go on. An error if the kernel's types cannot be
/// read, or it accepts no maps at all (most often for want of privileges).
pub fn load(options: &LoadOptions) -> Result<Loaded> {
    let mut types = KernelTypes::load(&options.btf)?;
    if !has_netns_cookies() {
        // Both sides must know a namespace by the same number: its inode then.
        types.table[Member::NetCookie as usize] = ABSENT;
    }
    allow_locked_memory();
    let sizes = Sizes::of(&HostFacts::of_this(options.memory_bytes));
    let mut loader = EbpfLoader::new();
    loader.map_max_entries(RECORDS, sizes.ring_bytes);
    for map in KERNEL_MAPS {
        loader.map_max_entries(map.name, sizes.entries(map.store));
    }
    let mut ebpf = loader
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("LAYOUT", types.table.as_slice(), true)
        .override_global("AYA_LOG_LEVEL", &options.log_level, true)
        .load(OBJECT)
        .context("cannot create the kernel maps")?;
    let mut probes = Probes::new(&options.btf);
    let lockdown = capabilities::refusal();
    let mut hooks = Vec::new();
    let mut per_device = Vec::new();
    for hook in HOOKS {
        if options.without.iter().any(|name| name == hook.name) {
            hooks.push(hook.missing(hook.best(), "left out by --without".to_owned()));
            continue;
        }
        match start(&mut ebpf, &mut probes, hook, options) {
            Ok(attachment) if matches!(attachment.point, AttachPoint::Devices(..)) => {
                per_device.push(hook);
            }
            Ok(attachment) => {
                let misses = attachment.misses.map(str::to_owned);
                hooks.push(hook.attached(attachment.mechanism, misses));
            }
            Err((mechanism, refused)) => {
                // The kernel's own words are about a function that programs may not call then, if it
                // has any.
                let locked = lockdown.filter(|_| refused.by_kernel);
                let why = locked.map_or(refused.why, str::to_owned);
                hooks.push(hook.missing(mechanism, why));
            }
        }
    }
    Ok(Loaded {
        ebpf,
        types,
        hooks,
        sizes,
        per_device,
    })
}

/// Tries one attachment after the other and gives the first that goes, attached unless that is for
/// each device; if none goes, says why each does not.
fn start(
    ebpf: &mut Ebpf,
    probes: &mut Probes,
    hook: &'static TraceHook,
    options: &LoadOptions,
) -> Result<&'static Attachment, (Mechanism, Refusal)> {
    let mut last = hook.best();
    let mut reasons = Vec::new();
    let mut by_kernel = false;
    for attachment in options.attachments(hook) {
        let started = match attachment.point {
            AttachPoint::Devices(program, _) => classifier(ebpf, program).map_err(Refusal::from),
            AttachPoint::Symbols(programs) => match attachment.mechanism {
                Mechanism::RawTracepoint => raw_tracepoints(ebpf, programs).map_err(Refusal::from),
                mechanism => probes.attach(ebpf, mechanism.facility(), programs),
            },
        };
        let Err(refused) = started else {
            return Ok(attachment);
        };
        last = attachment.mechanism;
        by_kernel |= refused.by_kernel;
        reasons.push(refused.why);
    }
    reasons.dedup();
    let why = reasons.join("; ");
    Err((last, Refusal { why, by_kernel }))
}

fn raw_tracepoints(ebpf: &mut Ebpf, programs: &[(&str, &str)]) -> Result<(), ProgramError> {
    for (name, tracepoint) in programs {
        let program: &mut RawTracePoint = program(ebpf, name)?.try_into()?;
        program.load()?;
        program.attach(tracepoint)?;
    }
    Ok(())
}

fn classifier(ebpf: &mut Ebpf, name: &str) -> Result<(), ProgramError> {
    let program: &mut SchedClassifier = program(ebpf, name)?.try_into()?;
    program.load()
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
    let (current, maximum) = (None, None);
    let _refused = setrlimit(Resource::Memlock, Rlimit { current, maximum });
}
