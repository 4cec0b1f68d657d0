//! The interfaces of a section: one for each device, with its namespace and MTU.

use std::collections::HashMap;

use crate::model::{
    event::{Device, Name},
    netns_ref::NetnsRef,
    network::{NetnsId, Topology},
};

/// Devices that have a number.
#[derive(Debug, Default)]
pub struct Interfaces {
    numbers: HashMap<(NetnsId, u32), Vec<Numbered>>,
    next: u32,
}

/// A device as it was when it got its number.
#[derive(Debug)]
struct Numbered {
    name: Option<Name>,
    mtu_bytes: u32,
    number: u32,
}

/// What an interface description says.
#[derive(Debug, PartialEq, Eq)]
pub struct Description {
    /// `eth0@build`.
    pub name: String,
    /// Namespace, container and MTU.
    pub words: String,
}

impl Interfaces {
    /// A device's number, and whether it is new. A device that is renamed or gets another MTU has
    /// another one from then on.
    pub fn number(&mut self, device: &Device) -> (u32, bool) {
        let known = self
            .numbers
            .entry((device.netns, device.ifindex))
            .or_default();
        let found = known
            .iter()
            .find(|known| known.name == device.name && known.mtu_bytes == device.mtu_bytes);
        if let Some(found) = found {
            return (found.number, false);
        }
        let number = self.next;
        known.push(Numbered {
            name: device.name.clone(),
            mtu_bytes: device.mtu_bytes,
            number,
        });
        self.next += 1;
        (number, true)
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.next
    }
}

/// What is said of a device.
pub fn description(device: &Device, topology: &Topology) -> Description {
    let netns = NetnsRef::new(device.netns, topology);
    let name = device.name.as_deref().unwrap_or("?");
    let mut words = format!("netns {}", netns.inode);
    if let Some(cookie) = netns.cookie {
        words.push_str(&format!(" (cookie {cookie})"));
    }
    if let Some(name) = &netns.name {
        words.push_str(&format!(", name {name}"));
    }
    if let Some(chain) = netns.chain() {
        words.push_str(&format!(", container {chain}"));
    }
    words.push_str(&format!(", MTU {}", device.mtu_bytes));
    Description {
        name: format!("{name}@{}", netns.label()),
        words,
    }
}
