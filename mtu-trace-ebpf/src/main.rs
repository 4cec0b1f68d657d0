//! mtu-trace's kernel programs, one file per kernel subject.
//!
//! Built for the host they do nothing, but the compiler's and clippy's checks see them there too.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
// Atomic addition has no stable form for this target: see `ring`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a value passed on is copied once more on the stack, which has 512 bytes"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "programs are called with their context by value"
)]

mod boundary;
mod call;
mod drop;
mod icmp;
mod kernel;
mod maps;
mod path_mtu;
mod retransmit;
mod ring;
mod scratch;
mod skb;
mod socket;
mod tunnel;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence the kernel asks for before it lends its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("these are kernel programs: build mtu-trace, which embeds them");
}
