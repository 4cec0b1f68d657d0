//! The part of the watcher that hears: reads the notices, and takes in who is to be looked at and who
//! has died.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::host::watcher::Watcher;
use crate::host::watcher::discover::Depth;
use crate::host::watcher::hub::Nsid;
use crate::host::watcher::notice::Notice;
use crate::host::watcher::snapshot::Due;

/// How closely to look when notices were lost: whoever is not found then is taken for dead.
pub(crate) const AFTER_LOSS: Depth = Depth::Everything;

/// What was heard and needs more than a look at the namespaces concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// There is nothing that was not known.
    Known,
    /// Something from a namespace that has not been found.
    Unknown,
    /// So much that some of it was lost: anything may have changed.
    Lost,
}

impl Watcher {
    /// Takes in what has been heard, and finds the namespaces it is about.
    pub(crate) fn catch_up(&mut self) -> anyhow::Result<()> {
        match self.hear()? {
            Heard::Known => Ok(()),
            Heard::Unknown => self.discover(Depth::Quick),
            Heard::Lost => self.discover(AFTER_LOSS),
        }
    }

    /// Reads what there is to hear, to be taken in later.
    pub(crate) fn listen(&mut self) -> anyhow::Result<()> {
        let pending = &mut self.pending;
        self.hub
            .notices(|notice| pending.push(notice))
            .context("cannot read notifications of network changes")
    }

    /// Takes in what has been heard: who is to be looked at, and who has died.
    pub(crate) fn hear(&mut self) -> anyhow::Result<Heard> {
        self.listen()?;
        let mut stirred: BTreeMap<Nsid, Due> = BTreeMap::new();
        let mut died = Vec::new();
        let mut lost = false;
        for notice in std::mem::take(&mut self.pending) {
            let dead = match notice {
                Notice::Changed(nsid, what) => {
                    stirred.entry(nsid).or_default().insert(what);
                    continue;
                }
                Notice::Given(nsid) => {
                    if self.given.insert(nsid) {
                        continue;
                    }
                    // The kernel frees a number a moment before it tells (`unhash_nsid`).
                    self.untold.insert(nsid);
                    nsid
                }
                Notice::Died(nsid) => {
                    if self.untold.remove(&nsid) && self.hub.is_alive(nsid) {
                        continue;
                    }
                    self.given.remove(&nsid);
                    nsid
                }
                Notice::Lost => {
                    lost = true;
                    continue;
                }
            };
            // What was heard before came from the one that died.
            stirred.remove(&dead);
            died.push(dead);
        }
        for nsid in died {
            self.unknown.remove(&nsid);
            if let Some(netns) = self.nsids.remove(&nsid) {
                self.bury(netns);
            }
            // The number is free for another namespace, which is nobody's other end yet.
            for record in self.records.values_mut() {
                record.forget_peers_in(nsid);
            }
        }
        if lost {
            log::warn!("more network changes than could be read: looking at everything again");
            // A death may have been missed and the number given to another: believe none.
            self.nsids.clear();
            self.unknown.clear();
            self.given.clear();
            self.untold.clear();
            self.look_at_all();
            return Ok(Heard::Lost);
        }
        let mut heard = Heard::Known;
        for (nsid, mut due) in stirred {
            match self.nsids.get(&nsid) {
                Some(&netns) => self.due.entry(netns).or_default().append(&mut due),
                // It could not be found before, but perhaps now that something stirs in it.
                None => heard = Heard::Unknown,
            }
        }
        Ok(heard)
    }
}
