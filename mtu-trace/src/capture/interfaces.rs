//! The interfaces of a section: what their descriptions say of a device.

use crate::model::event::Device;
use crate::model::netns_ref::NetnsRef;
use crate::model::network::Topology;

/// What an interface description block says.
#[derive(Debug, PartialEq, Eq)]
pub struct Description {
    /// The device and the label of its namespace: `eth0@build`.
    pub name: String,
    /// The namespace, its container and the device's MTU.
    pub words: String,
}

impl Description {
    /// The description of a device in the network as it is then.
    pub fn of(device: &Device, topology: &Topology) -> Self {
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
        Self {
            name: format!("{name}@{}", netns.label()),
            words,
        }
    }
}
