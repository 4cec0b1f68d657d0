//! The running kernel as a source of events: loading and attaching the programs, draining and
//! decoding their records, and asking for what the records leave open.

pub(crate) mod announced;
pub(crate) mod attacher;
pub(crate) mod boundaries;
pub(crate) mod btf;
pub(crate) mod capabilities;
pub(crate) mod connections;
pub(crate) mod coverage;
pub mod decode;
pub(crate) mod drop_counter;
pub(crate) mod headers;
pub mod hooks;
pub(crate) mod instance;
pub(crate) mod live;
pub(crate) mod load;
pub(crate) mod maps;
pub(crate) mod network;
pub(crate) mod probes;
mod program;
pub(crate) mod socket_lookup;
pub(crate) mod socket_poller;
pub(crate) mod sockets;
pub(crate) mod symbols;
pub(crate) mod tc;
pub(crate) mod tunnelled;
pub use btf::{BtfError, KernelTypes, VMLINUX};
pub use capabilities::{CAPABILITIES, Effective, refusal};
pub use coverage::{Coverage, Covered};
pub use decode::{DecodeError, Decoder, flow, key, name_devices};
pub use hooks::{HOOKS, Mechanism};
pub use live::LiveTrace;
pub use load::LoadOptions;
pub use symbols::{LOST, Symbols};
