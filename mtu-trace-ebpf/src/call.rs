//! What programs are told of the call that they are run at: of a tracepoint, or of a function that no
//! tracepoint tells of, by fentry or by kprobe, whichever the kernel has.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::programs::{FEntryContext, ProbeContext, RawTracePointContext};

use crate::kernel::read;

/// A call of a kernel function or tracepoint.
pub trait Called {
    /// One of its arguments, from 0 on, as the register has it: of a shorter one the upper bytes may
    /// be anything.
    fn argument(&self, index: usize) -> Option<u64>;
}

impl Called for FEntryContext {
    #[inline(always)]
    fn argument(&self, index: usize) -> Option<u64> {
        traced(self, index)
    }
}

/// An argument of a function traced by fentry or fexit, behind which fexit has the result. The context
/// has them one behind the other. Read as memory they are mere numbers; read directly, the verifier
/// takes them for pointers to what they point to and forbids to calculate.
#[inline(always)]
pub fn traced(ctx: &impl EbpfContext, index: usize) -> Option<u64> {
    read(ctx.as_ptr() as u64 + index as u64 * 8)
}

impl Called for RawTracePointContext {
    #[inline(always)]
    fn argument(&self, index: usize) -> Option<u64> {
        Some(self.arg(index))
    }
}

impl Called for ProbeContext {
    #[inline(always)]
    fn argument(&self, index: usize) -> Option<u64> {
        self.arg(index)
    }
}

/// Where a function that a kprobe hangs on was called from: its return address, which nothing has
/// been put upon at its first instruction.
#[inline(always)]
pub fn caller(ctx: &ProbeContext) -> Option<u64> {
    #[cfg(any(bpf_target_arch = "x86_64", not(target_arch = "bpf")))]
    return read(register(ctx, core::mem::offset_of!(pt_regs, rsp))?);
    // The link register.
    #[cfg(all(target_arch = "bpf", bpf_target_arch = "aarch64"))]
    return register(ctx, core::mem::offset_of!(pt_regs, regs) + 30 * 8);
    #[cfg(not(any(
        not(target_arch = "bpf"),
        bpf_target_arch = "x86_64",
        bpf_target_arch = "aarch64"
    )))]
    return {
        let _unknown = ctx;
        None
    };
}

/// A register of the context, read as memory: the compiler may calculate its address, which the
/// verifier forbids to use directly.
#[inline(always)]
fn register(ctx: &ProbeContext, offset: usize) -> Option<u64> {
    read(ctx.as_ptr() as u64 + offset as u64)
}

/// Two programs for the entry of a function, by fentry and by kprobe, that do the same with the call.
macro_rules! at_entry {
    ($(#[$doc:meta])* ($fentry:ident, $kprobe:ident) = $does:path) => {
        $crate::call::at_entry! { $(#[$doc])* ($fentry, $kprobe) = |call| $does(call) }
    };
    ($(#[$doc:meta])* ($fentry:ident, $kprobe:ident) = |$call:ident| $does:expr) => {
        $(#[$doc])*
        #[aya_ebpf::macros::fentry]
        pub fn $fentry(ctx: aya_ebpf::programs::FEntryContext) -> i32 {
            let $call = &ctx;
            let _ignored = $does;
            0
        }

        $(#[$doc])*
        #[aya_ebpf::macros::kprobe]
        pub fn $kprobe(ctx: aya_ebpf::programs::ProbeContext) -> u32 {
            let $call = &ctx;
            let _ignored = $does;
            0
        }
    };
}

pub(crate) use at_entry;
