//! The part of the watcher that looks at namespaces from inside.
//!
//! There is no hearing of path MTUs and settings, so each namespace is looked at again after
//! a while; sooner if its links, addresses, routes or rules have changed. Nobody waits for that:
//! it happens when the caller finds time for it, however much has changed in between.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

use crate::host::watcher::notice::What;
use crate::host::watcher::{Changes, Watcher, snapshot};
use crate::model::network::{Inside, LinkKind, NetnsId};

/// What was seen inside is believed for this long if nothing is heard, ns.
const BELIEVED_NS: u64 = 30_000_000_000;
/// Between two looks, ns.
const PAUSE_NS: u64 = 1_000_000_000;
/// The pause is at least so many times as long as a look takes: with the whole Internet's routes,
/// which change all the time, that is seconds.
const PAUSE_LOOKS: u32 = 20;
/// At most so many are looked at in one call merely because they have not been for long, or one
/// in `OLD_SHARE` of all if that is more: a look takes about half a millisecond.
const MOST_OLD: usize = 64;
/// The share of all namespaces that is looked at for its age in one call at least. A choice: all are
/// looked at in five calls.
const OLD_SHARE: usize = 5;

/// What is kept of looks inside a namespace.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// What was seen inside; `None` if it could not be entered.
    pub inside: Option<Arc<Inside>>,
    /// When, ns of `CLOCK_MONOTONIC`.
    seen_ns: u64,
    /// How long it took, without waiting.
    took: Duration,
    /// Whether something has changed since that is known to matter.
    pub due: bool,
}

/// Whether there should be another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    None,
    Sometime,
    Now,
}

impl Look {
    fn need(&self, now_ns: u64) -> Need {
        if self.inside.is_none() {
            return Need::Now;
        }
        let age_ns = now_ns.saturating_sub(self.seen_ns);
        let pause_ns = u128::from(PAUSE_NS).max((self.took * PAUSE_LOOKS).as_nanos());
        if u128::from(age_ns) < pause_ns {
            Need::None
        } else if self.due {
            Need::Now
        } else if age_ns >= BELIEVED_NS {
            Need::Sometime
        } else {
            Need::None
        }
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
    /// ([`Inside`]). Those that cannot be looked at stay as they were last seen.
    ///
    /// This enters namespaces, one after the other, and leaves each at once.
    ///
    /// # Errors
    ///
    /// If notifications cannot be read. What is missing of single namespaces is no error.
    pub fn survey(&mut self, now_ns: u64) -> anyhow::Result<Changes> {
        self.now_ns = now_ns;
        self.hear_of_routes()?;
        let mut due = Vec::new();
        let mut old = Vec::new();
        for (&netns, record) in &self.records {
            match record.look.need(now_ns) {
                Need::Now => due.push(netns),
                Need::Sometime => old.push((record.look.seen_ns, netns)),
                Need::None => {}
            }
        }
        old.sort_unstable();
        let most = MOST_OLD.max(self.records.len() / OLD_SHARE);
        due.extend(old.into_iter().take(most).map(|(_, netns)| netns));
        for &netns in &due {
            self.look_inside(netns);
        }
        self.ask_routers(&due)?;
        Ok(self.publish())
    }

    /// Asks those that forward IPv6 for their devices anew: of `net.ipv6.conf.DEV.mtu`, by which they do that,
    /// there is no hearing either.
    fn ask_routers(&mut self, looked_at: &[NetnsId]) -> anyhow::Result<()> {
        for netns in looked_at {
            let record = self.records.get(netns);
            if record.is_some_and(|record| snapshot::forwards(&record.devices).1) {
                let due = self.due.entry(*netns).or_default();
                due.insert(What::All);
            }
        }
        self.look()
    }

    /// Takes in whose routes or rules have changed.
    fn hear_of_routes(&mut self) -> anyhow::Result<()> {
        let rerouted = self.hub.rerouted();
        let (rerouted, lost) = rerouted.context("cannot read notifications of route changes")?;
        for record in self.records.values_mut() {
            record.look.due |= lost;
        }
        for nsid in rerouted {
            let netns = self.nsids.get(&nsid);
            if let Some(record) = netns.and_then(|netns| self.records.get_mut(netns)) {
                record.look.due = true;
            }
        }
        Ok(())
    }

    fn look_inside(&mut self, netns: NetnsId) {
        let seen = self.open(netns);
        let Some(record) = self.records.get_mut(&netns) else {
            return;
        };
        let devices = record.devices.iter();
        let vxlans = devices.filter(|(_, device)| device.link.kind == LinkKind::Vxlan);
        let vxlans: Vec<u32> = vxlans.map(|(&ifindex, _)| ifindex).collect();
        let seen = seen
            .and_then(|file| file.run(|| Ok((Inside::read(&vxlans)?, cpu_time()))))
            .flatten();
        match seen {
            Ok((inside, took)) => {
                if record.look.take(inside, self.now_ns, took) {
                    self.stale.insert(netns);
                }
            }
            // Mostly it has just died.
            Err(error) => {
                log::debug!("cannot look inside netns {}: {error}", record.inode);
                self.changes.skipped += 1;
            }
        }
    }
}

/// What the calling thread has cost since it was started; the kernel's answers are part of that.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_look_is_not_soon_repeated() {
        let mut look = Look::default();
        assert_eq!(look.need(0), Need::Now);
        assert!(look.take(Inside::default(), 0, Duration::from_millis(1)));
        assert_eq!(look.need(BELIEVED_NS - 1), Need::None);
        assert_eq!(look.need(BELIEVED_NS), Need::Sometime);
        look.due = true;
        assert_eq!(look.need(PAUSE_NS - 1), Need::None);
        assert_eq!(look.need(PAUSE_NS), Need::Now);
        assert!(!look.take(Inside::default(), 0, Duration::from_secs(2)));
        assert_eq!(look.need(BELIEVED_NS), Need::None);
        look.due = true;
        assert_eq!(look.need(BELIEVED_NS), Need::None);
        assert_eq!(look.need(40 * PAUSE_NS), Need::Now);
    }
}
