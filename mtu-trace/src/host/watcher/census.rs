//! The part of the watcher that finds namespaces and keeps track of who is who.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;

use anyhow::Context;

use crate::host::identity::Identity;
use crate::host::netns::NetnsFile;
use crate::host::watcher::discover::{Depth, FoundNetns, Scan};
use crate::host::watcher::hearing::{AFTER_LOSS, Heard};
use crate::host::watcher::hub::Nsid;
use crate::host::watcher::looking::MAX_ROUNDS;
use crate::host::watcher::record::{NetnsRecord, open_place};
use crate::host::watcher::snapshot::{Devices, Due};
use crate::host::watcher::survey::Look;
use crate::host::watcher::{Changes, Watcher, discover};
use crate::model::network::NetnsId;

impl Watcher {
    /// Finds namespaces and gives numbers to those that have none.
    pub(crate) fn discover(
        &mut self,
        mut depth: Depth,
        now_ns: u64,
        changes: &mut Changes,
    ) -> anyhow::Result<()> {
        for _ in 0..MAX_ROUNDS {
            if self.count(depth, now_ns, changes)? != Heard::Lost {
                break;
            }
            depth = AFTER_LOSS;
        }
        Ok(())
    }

    /// The same, but ends early when notices are lost on the way.
    fn count(&mut self, depth: Depth, now_ns: u64, changes: &mut Changes) -> anyhow::Result<Heard> {
        let Scan { found, skipped } = discover::scan(depth).context("cannot read /proc")?;
        changes.skipped += skipped;
        self.all_stale = true;
        let init = discover::init_inode();
        // An inode number is free for reuse only after its namespace's death was told (kernel:
        // `cleanup_net` takes the nsids first). So a namespace that is not known to be dead by now
        // is the one that was found under its number, and need not be opened.
        if self.hear(now_ns, changes)? == Heard::Lost && depth < AFTER_LOSS {
            return Ok(Heard::Lost);
        }
        let nsids = &self.nsids;
        let known: HashMap<u64, NetnsId> = self
            .records
            .iter()
            .filter(|(id, record)| nsids.get(&record.nsid) == Some(id))
            .map(|(&id, record)| (record.inode, id))
            .collect();
        let taken: HashSet<String> = found
            .values()
            .filter_map(|found| found.name.clone())
            .collect();
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
                    if error.kind() == io::ErrorKind::PermissionDenied {
                        changes.skipped += 1;
                    }
                    continue;
                }
            };
            // The number may be that of one that has just died. This one lives: it is open.
            if self.hear(now_ns, changes)? == Heard::Lost {
                return Ok(Heard::Lost);
            }
            self.adopt(&file, nsid, found, init, changes);
        }
        if self.nsids.len() < self.records.len() {
            // After a loss: those that were not met again.
            let nsids = &self.nsids;
            let missing: Vec<NetnsId> = self
                .records
                .iter()
                .filter(|(id, record)| nsids.get(&record.nsid) != Some(id))
                .map(|(&id, _)| id)
                .collect();
            for netns in missing {
                self.bury(netns, now_ns, changes);
            }
        }
        Ok(Heard::Known)
    }

    /// Opens a namespace that was found, and gives it a number if it has none.
    fn number(&self, inode: u64, found: &FoundNetns) -> io::Result<(NetnsFile, Nsid)> {
        let mut result = Err(io::ErrorKind::NotFound.into());
        for place in &found.places {
            result = open_place(place, inode).and_then(NetnsFile::from_fd);
            if result.is_ok() {
                break;
            }
        }
        let file = result?;
        let nsid = self.hub.assign(file.as_fd())?;
        Ok((file, nsid))
    }

    /// Takes up a namespace that is not known, or no longer under its number.
    fn adopt(
        &mut self,
        file: &NetnsFile,
        nsid: Nsid,
        found: FoundNetns,
        init: Option<u64>,
        changes: &mut Changes,
    ) {
        let (id, inode) = (file.id, file.inode);
        self.nsids.insert(nsid, id);
        self.given.insert(nsid);
        self.unknown.remove(&nsid);
        // Without cookies it may be another one with the inode number of one that is gone.
        self.gone.remove(&id);
        changes.gone.remove(&id);
        self.due.insert(id, Due::all());
        let new = !self.records.contains_key(&id);
        let record = self.records.entry(id).or_insert_with(|| NetnsRecord {
            nsid,
            inode,
            cookie: file.cookie,
            found: FoundNetns::default(),
            identity: Identity::default(),
            named: None,
            init: init == Some(inode),
            devices: Devices::new(),
            look: Look::default(),
        });
        record.nsid = nsid;
        record.meet(found, &HashSet::new());
        if new {
            changes.added.insert(id);
        }
    }
}
