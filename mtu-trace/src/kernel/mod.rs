//! The running kernel as a source of events: loading and attaching the programs, draining and
//! decoding their records, and asking for what the records leave open.

mod attacher;
mod boundaries;
mod btf;
mod capabilities;
mod clock;
mod connections;
mod counted;
mod coverage;
pub mod decode;
mod headers;
mod hooks;
mod instance;
mod joining;
mod limit_map;
mod live;
mod load;
mod lockdown;
mod maps;
mod network;
mod patrol;
mod probes;
mod qdisc;
mod refused;
mod ring;
mod sampling;
mod sockets;
mod status;
mod symbols;
mod tc;
mod tunnelled;

pub use btf::{BtfError, KernelTypes, VMLINUX};
pub use capabilities::{CAPABILITIES, Capability, Effective};
pub use clock::{booted, monotonic_ns};
pub use coverage::{Coverage, Covered};
pub use hooks::{HOOKS, Hook, Mechanism, Way};
pub use live::Live;
pub use load::LoadOptions;
pub use lockdown::refusal as lockdown_refusal;
pub use status::HookStatus;
pub use symbols::{LOST as WITHOUT_SYMBOLS, SymbolError, Symbols};
