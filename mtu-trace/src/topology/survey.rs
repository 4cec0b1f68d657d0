//! The part of the watcher that looks at namespaces from inside.
//!
//! There is no hearing of path MTUs and settings, so each namespace is looked at again after
//! a while; sooner if its links, addresses, routes or rules have changed. Nobody waits for that:
//! it happens when the caller finds time for it, however much has changed in between.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::{
    model::{Inside, NetnsId},
    watcher::{Changes, Watcher},
};

/// What was seen inside is believed for this long if nothing is heard, ns.
const BELIEVED_NS: u64 = 30_000_000_000;
/// Between two looks, ns.
const PAUSE_NS: u64 = 1_000_000_000;
/// The pause is at least so many times as long as a look takes: with the whole Internet's routes,
/// which change all the time, that is seconds.
const PAUSE_LOOKS: u32 = 20;

/// What is kept of looks inside a namespace.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// What was seen.
    pub inside: Option<Arc<Inside>>,
    /// When, ns of `CLOCK_MONOTONIC`.
    seen_ns: u64,
    /// How long it took.
    took: Duration,
    /// Whether something has changed since that is known to matter.
    pub due: bool,
}

impl Look {
    fn is_due(&self, now_ns: u64) -> bool {
        if self.inside.is_none() {
            return true;
        }
        let age_ns = now_ns.saturating_sub(self.seen_ns);
        let pause_ns = (self.took * PAUSE_LOOKS).as_nanos();
        (self.due || age_ns >= BELIEVED_NS) && age_ns >= PAUSE_NS && u128::from(age_ns) >= pause_ns
    }

    /// Takes in what was seen. Returns whether it is anything new.
    fn take(&mut self, inside: Inside, now_ns: u64, took: Duration) -> bool {
        (self.seen_ns, self.took, self.due) = (now_ns, took, false);
        if self.inside.as_deref() == Some(&inside) {
            return false;
        }
        self.inside = Some(Arc::new(inside));
        true
    }
}

impl Watcher {
    /// Looks inside those namespaces where something may be new: routes, rules, path MTUs, settings
    /// ([`Inside`]). Those that cannot be looked at stay as they were last seen. `now_ns` is the time
    /// by `CLOCK_MONOTONIC`.
    ///
    /// This enters namespaces, one after the other, and leaves each at once.
    ///
    /// # Errors
    ///
    /// If notifications cannot be read. What is missing of single namespaces is no error.
    pub fn survey(&mut self, now_ns: u64) -> anyhow::Result<Changes> {
        let mut changes = Changes::default();
        self.hear_of_routes()?;
        let due: Vec<NetnsId> = self
            .records
            .iter()
            .filter(|(_, record)| record.look.is_due(now_ns))
            .map(|(&netns, _)| netns)
            .collect();
        for netns in due {
            self.look_inside(netns, now_ns, &mut changes);
        }
        self.publish(now_ns, &mut changes);
        Ok(changes)
    }

    /// Takes in whose routes or rules have changed.
    fn hear_of_routes(&mut self) -> anyhow::Result<()> {
        let (rerouted, lost) = self
            .hub
            .rerouted()
            .context("cannot read notifications of route changes")?;
        if lost {
            for record in self.records.values_mut() {
                record.look.due = true;
            }
        }
        for nsid in rerouted {
            let netns = self.nsids.get(&nsid);
            if let Some(record) = netns.and_then(|netns| self.records.get_mut(netns)) {
                record.look.due = true;
            }
        }
        Ok(())
    }

    fn look_inside(&mut self, netns: NetnsId, now_ns: u64, changes: &mut Changes) {
        let begun = Instant::now();
        let Some(record) = self.records.get(&netns) else {
            return;
        };
        let vxlans: Vec<u32> = record
            .devices
            .iter()
            .filter(|(_, device)| device.link.kind == "vxlan")
            .map(|(&ifindex, _)| ifindex)
            .collect();
        let seen = self
            .open(netns)
            .and_then(|file| file.run(|| Inside::read(&vxlans)))
            .flatten();
        let Some(record) = self.records.get_mut(&netns) else {
            return;
        };
        match seen {
            Ok(inside) => {
                if record.look.take(inside, now_ns, begun.elapsed()) {
                    self.stale.insert(netns);
                }
            }
            // Mostly it has just died.
            Err(error) => {
                log::debug!("cannot look inside netns {}: {error}", record.inode);
                changes.skipped += 1;
            }
        }
    }
}
