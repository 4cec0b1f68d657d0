//! The way into a namespace, to be gone later and elsewhere without keeping it alive until then.

use std::io;

use crate::host::netns::NetnsFile;
use crate::host::watcher::discover::NetnsPath;
use crate::host::watcher::record::{NetnsRecord, open_place};
use crate::model::network::NetnsId;

/// Where a namespace was found.
#[derive(Clone, Debug)]
pub struct Entrance {
    netns: NetnsId,
    inode: u64,
    places: Vec<NetnsPath>,
}

impl Entrance {
    pub(crate) fn of(netns: NetnsId, record: &NetnsRecord) -> Self {
        Self {
            netns,
            inode: record.inode,
            places: record.found.places.clone(),
        }
    }

    /// Inode number of the namespace's file.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Opens the namespace if it is still there. Where the kernel has no cookies it can be another
    /// one with the same inode number. Drop the file soon: it keeps the namespace alive.
    ///
    /// # Errors
    ///
    /// `NotFound` if none of the places leads to it any more.
    pub fn open(&self) -> io::Result<NetnsFile> {
        self.places
            .iter()
            .filter_map(|place| NetnsFile::from_fd(open_place(place, self.inode).ok()?).ok())
            .find(|file| file.id == self.netns)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
