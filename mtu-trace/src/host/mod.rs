//! What is read of this host: its namespaces, who lives in them, and their packet filter rules.

pub mod firewall;
pub mod identity;
pub mod mounts;
pub mod netns;
pub mod watcher;
