//! Since when which device is looked at: that a program saw nothing before then proves nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mtu_trace_common::map::DeviceLimits;

use crate::base::clock::monotonic_ns;
use crate::model::network::NetnsId;

/// A device the tc programs are to look at, or do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// The limits the programs measure against.
    pub limits: DeviceLimits,
    /// Since when they do, ns of `CLOCK_MONOTONIC`.
    pub limits_ns: u64,
    /// Since when every direction that has a limit is looked at; 0 if it is not yet.
    pub limited_ns: u64,
    /// Since when both directions are; 0 if they are not yet.
    pub whole_ns: u64,
}

/// The devices the tc programs look at, kept up to date while the trace runs.
#[derive(Clone, Debug, Default)]
pub struct Coverage(Arc<Mutex<HashMap<(NetnsId, u32), Covered>>>);

impl Coverage {
    /// How it stands with the device of this interface index.
    #[must_use]
    pub fn of(&self, netns: NetnsId, ifindex: u32) -> Option<Covered> {
        self.devices().get(&(netns, ifindex)).copied()
    }

    /// How many devices there are, and how many of them are wholly covered.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let devices = self.devices();
        let whole = devices.values().filter(|device| device.whole_ns != 0);
        (devices.len(), whole.count())
    }

    pub(crate) fn limit(&self, device: (NetnsId, u32), limits: DeviceLimits) {
        let mut devices = self.devices();
        let covered = devices.entry(device).or_default();
        covered.limits = limits;
        covered.limits_ns = monotonic_ns();
    }

    pub(crate) fn change(&self, device: (NetnsId, u32), change: impl FnOnce(&mut Covered)) {
        if let Some(covered) = self.devices().get_mut(&device) {
            change(covered);
        }
    }

    pub(crate) fn remove(&self, device: (NetnsId, u32)) {
        self.devices().remove(&device);
    }

    fn devices(&self) -> MutexGuard<'_, HashMap<(NetnsId, u32), Covered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
