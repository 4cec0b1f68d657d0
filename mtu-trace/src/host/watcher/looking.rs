//! The part of the watcher that asks namespaces for their devices, and goes on to those that these
//! lead to.

use std::collections::BTreeSet;

use crate::host::watcher::discover::Depth;
use crate::host::watcher::hub::Nsid;
use crate::host::watcher::notice::What;
use crate::host::watcher::record::NetnsRecord;
use crate::host::watcher::snapshot::{AskedLink, Due};
use crate::host::watcher::{Watcher, snapshot};
use crate::model::network::NetnsId;

/// A look at one namespace may lead to another, and from there to a third: how often to go on
/// within one call.
pub(crate) const MAX_ROUNDS: u32 = 4;

impl Watcher {
    pub(crate) fn look_at_all(&mut self) {
        let all = self.records.keys();
        self.due
            .extend(all.map(|&netns| (netns, Due::from([What::All]))));
    }

    /// Asks the namespaces that are due for their devices, and those that are found on the way.
    pub(crate) fn look(&mut self) -> anyhow::Result<()> {
        for _ in 0..MAX_ROUNDS {
            let mut leads = BTreeSet::new();
            for (netns, due) in std::mem::take(&mut self.due) {
                self.look_at(netns, due, &mut leads)?;
            }
            leads.retain(|nsid| !self.unknown.contains(nsid));
            // First where it is likely, then everywhere.
            for depth in [Depth::Quick, Depth::Normal, Depth::Everything] {
                leads.retain(|nsid| !self.nsids.contains_key(nsid));
                if !leads.is_empty() {
                    self.discover(depth)?;
                }
            }
            leads.retain(|nsid| !self.nsids.contains_key(nsid));
            self.unknown.append(&mut leads);
            self.catch_up()?;
            if self.due.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        netns: NetnsId,
        mut due: Due,
        leads: &mut BTreeSet<Nsid>,
    ) -> anyhow::Result<()> {
        let Some(record) = self.records.get(&netns) else {
            return Ok(());
        };
        let nsid = record.nsid;
        let asked = snapshot::ask(&self.hub, nsid, &due, &record.devices);
        // Looking at another one may have given the number of this one, dead since the last time
        // something was heard, to a third, which has answered in its place.
        self.listen()?;
        if self.nsids.get(&nsid) != Some(&netns) {
            return Ok(());
        }
        let ends = |nsid| self.pending.iter().any(|notice| notice.ends(nsid));
        if ends(nsid) {
            // Whether it is dead is seen when that is taken in.
            self.due.entry(netns).or_default().append(&mut due);
            return Ok(());
        }
        let Some(record) = self.records.get_mut(&netns) else {
            return Ok(());
        };
        let different = match asked {
            Ok(different) => different,
            Err(_) if !self.hub.is_alive(nsid) => {
                self.nsids.remove(&nsid);
                self.bury(netns);
                return Ok(());
            }
            Err(error) => {
                log::debug!("cannot look at netns {}: {error}", record.inode);
                self.changes.skipped += 1;
                return Ok(());
            }
        };
        if different.is_empty() {
            return Ok(());
        }
        let mut leading = different.values().flatten().filter_map(AskedLink::leads);
        if leading.any(|nsid| self.given.contains(&nsid) && ends(nsid)) {
            // The other end is in one that has such a number: this is to be seen after its former
            // owner's end is.
            self.due.entry(netns).or_default().append(&mut due);
            return Ok(());
        }
        self.stale.insert(netns);
        // Routes vanish with links and addresses, not all of them told.
        record.look.due = true;
        for (other, ifindex) in replace_links(record, different, leads) {
            let other = match other {
                None => Some(netns),
                Some(nsid) => self.nsids.get(&nsid).copied(),
            };
            if let Some(other) = other.filter(|other| self.records.contains_key(other)) {
                let due = self.due.entry(other).or_default();
                due.insert(What::Link(ifindex));
            }
        }
        Ok(())
    }
}

/// Takes over links as they are now; `leads` gets the namespaces that they lead to.
///
/// Gives the other ends of what has changed, each with the number of its namespace, `None` for the own
/// one: they may need a look too, since a veth is not told when its other end moves to another
/// namespace.
fn replace_links(
    record: &mut NetnsRecord,
    links: impl IntoIterator<Item = (u32, Option<AskedLink>)>,
    leads: &mut BTreeSet<Nsid>,
) -> Vec<(Option<Nsid>, u32)> {
    let mut others = Vec::new();
    for (ifindex, new) in links {
        let is = new.as_ref().and_then(|device| device.peer);
        leads.extend(new.as_ref().and_then(AskedLink::leads));
        let old = match new {
            Some(device) => record.devices.insert(ifindex, device),
            None => record.devices.remove(&ifindex),
        };
        let was = old.and_then(|device| device.peer);
        if was != is {
            others.extend(was);
            others.extend(is);
        }
    }
    others
}
