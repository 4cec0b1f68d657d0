//! The part of the watcher that keeps track of who is who: it reads the notices, takes in who is to be
//! looked at and who has died, and finds namespaces.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use anyhow::Context;

use crate::host::netns::NetnsFile;
use crate::host::watcher::discover::{Depth, FoundNetns, Scan};
use crate::host::watcher::hub::Nsid;
use crate::host::watcher::looking::MAX_ROUNDS;
use crate::host::watcher::notice::{Notice, What};
use crate::host::watcher::record::NetnsRecord;
use crate::host::watcher::snapshot::Due;
use crate::host::watcher::{Watcher, discover};
use crate::model::network::NetnsId;

/// How closely to look when notices were lost: whoever is not found then is taken for dead.
const AFTER_LOSS: Depth = Depth::Everything;

/// What was heard and needs more than a look at the namespaces concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
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
    fn hear(&mut self) -> anyhow::Result<Heard> {
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

    /// Finds namespaces and gives numbers to those that have none.
    pub(crate) fn discover(&mut self, mut depth: Depth) -> anyhow::Result<()> {
        for _ in 0..MAX_ROUNDS {
            if self.count(depth)? != Heard::Lost {
                break;
            }
            depth = AFTER_LOSS;
        }
        Ok(())
    }

    /// The same, but ends early when notices are lost on the way.
    fn count(&mut self, depth: Depth) -> anyhow::Result<Heard> {
        let Scan { found, skipped, .. } = discover::scan(depth).context("cannot read /proc")?;
        self.changes.skipped += skipped;
        self.all_stale = true;
        let init = discover::init_inode();
        // An inode number is free for reuse only after its namespace's death was told (kernel:
        // `cleanup_net` takes the nsids first). So a namespace that is not known to be dead by now
        // is the one that was found under its number, and need not be opened.
        if self.hear()? == Heard::Lost && depth < AFTER_LOSS {
            return Ok(Heard::Lost);
        }
        let numbered = self
            .records
            .iter()
            .filter(|(id, record)| self.has_number(**id, record));
        let known: HashMap<u64, NetnsId> =
            numbered.map(|(&id, record)| (record.inode, id)).collect();
        let names = found.values().filter_map(|found| found.name.clone());
        let taken: HashSet<String> = names.collect();
        for (inode, found) in found {
            let record = known.get(&inode).and_then(|id| self.records.get_mut(id));
            if let Some(record) = record {
                if depth > Depth::Quick {
                    record.meet(found, &taken);
                } else {
                    record.meet_again(found);
                }
                continue;
            }
            let (file, nsid) = match self.number(inode, &found) {
                Ok(numbered) => numbered,
                Err(error) => {
                    // Mostly it has vanished; what may not be entered is counted.
                    log::debug!("cannot open netns {inode}: {error}");
                    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
                    self.changes.skipped += u32::from(is_denied);
                    continue;
                }
            };
            // The number may be that of one that has just died. This one lives: it is open.
            if self.hear()? == Heard::Lost {
                return Ok(Heard::Lost);
            }
            self.adopt(&file, nsid, found, init);
        }
        if self.nsids.len() < self.records.len() {
            // After a loss: those that were not met again.
            let records = self.records.iter();
            let missing = records.filter(|(id, record)| !self.has_number(**id, record));
            for netns in Vec::from_iter(missing.map(|(&id, _)| id)) {
                self.bury(netns);
            }
        }
        Ok(Heard::Known)
    }

    /// Whether a namespace is known under the number in its record.
    fn has_number(&self, id: NetnsId, record: &NetnsRecord) -> bool {
        self.nsids.get(&record.nsid) == Some(&id)
    }

    /// Opens a namespace that was found, and gives it a number if it has none.
    fn number(&self, inode: u64, found: &FoundNetns) -> io::Result<(NetnsFile, Nsid)> {
        let none = Err(io::ErrorKind::NotFound.into());
        let places = found.places.iter();
        let file = places.fold(none, |file, place| file.or_else(|_| place.open(inode)))?;
        let nsid = self.hub.assign(&file.fd)?;
        Ok((file, nsid))
    }

    /// Takes up a namespace that is not known, or no longer under its number.
    fn adopt(&mut self, file: &NetnsFile, nsid: Nsid, found: FoundNetns, init: Option<u64>) {
        let id = file.id;
        self.nsids.insert(nsid, id);
        self.given.insert(nsid);
        self.unknown.remove(&nsid);
        // Without cookies it may be another one with the inode number of one that is gone.
        self.gone.remove(&id);
        self.changes.gone.remove(&id);
        self.due.insert(id, Due::from([What::All]));
        let record = self.records.entry(id).or_insert_with(|| {
            self.changes.added.insert(id);
            NetnsRecord {
                inode: file.inode,
                cookie: file.cookie,
                init: init == Some(file.inode),
                ..NetnsRecord::default()
            }
        });
        record.nsid = nsid;
        record.meet(found, &HashSet::new());
    }
}
