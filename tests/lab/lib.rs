//! The lab: network namespaces with a known fault, traffic through them, and the tracer beside it.
//!
//! ```no_run
//! use lab::{firewall, topology::Nested, traffic::Transfer};
//!
//! # fn main() -> anyhow::Result<()> {
//! let fault = Nested { uplink: 1450, port: 1450, ..Nested::default() }.build()?;
//! firewall::drop_frag_needed(fault.host()?, firewall::Hook::Output)?;
//! let outcome = fault.run(&Transfer::download(20_000))?;
//! assert!(outcome.hung());
//! # Ok(()) }
//! ```
//!
//! What every module here keeps to:
//!
//! - Nothing happens in the machine's own network namespace except that named namespaces are made
//!   and removed. Veth pairs are born inside the lab's namespaces.
//! - Addresses come from the documentation ranges (RFC 5737, RFC 3849) and no packet leaves the lab.
//! - Traffic is bounded in bytes and in time, and waits for events, never for a clock to pass.
//! - Everything is removed when the [`Lab`] is dropped, on SIGINT and SIGTERM, and by the next lab's
//!   [`sweep`] when neither could happen.

pub mod address;
pub mod audit;
pub mod binary;
pub mod bridge;
pub mod clamp;
pub mod command;
pub mod connection;
pub mod counters;
pub mod demo;
pub mod engine;
pub mod firewall;
mod interrupt;
pub mod kinds;
pub mod lifetime;
pub mod link;
pub mod machine;
pub mod nat;
pub mod netns;
mod ownership;
pub mod packages;
pub mod patience;
pub mod paused;
pub mod picture;
pub mod process;
pub mod queue;
pub mod report;
pub mod scratch;
pub mod settings;
pub mod show;
pub mod side_by_side;
pub mod skips;
pub mod suites;
pub mod terminal;
pub mod topology;
pub mod tracer;
pub mod traffic;
pub mod udp;
pub mod unread;
pub mod usage;
pub mod wire;

pub use interrupt::on_signal;
pub use lifetime::Lab;
pub use netns::Netns;
pub use ownership::{is_alive, sweep};
