//! The values that the layers hand to each other: events, the network, findings. Types and their derived
//! forms only.

pub mod engine;
pub mod event;
pub mod finding;
pub mod hook_status;
mod link_kind;
pub mod netns_ref;
pub mod network;
pub mod store;
mod topology;
pub mod verdict;

/// Whether a field says no more than if it were left out, as `serde` asks.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
