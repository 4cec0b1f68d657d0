//! The limits the tc programs measure against.

use anyhow::Result;
use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData};
use mtu_trace_common::map::{DeviceKey, DeviceLimits};

use crate::kernel::maps::take;

/// The kernel maps of limits.
pub struct LimitMap {
    devices: HashMap<MapData, DeviceKey, DeviceLimits>,
    smallest: Array<MapData, u32>,
}

impl LimitMap {
    /// Takes the maps out of the loaded object.
    ///
    /// # Errors
    ///
    /// If the object lacks them.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            devices: HashMap::try_from(take(ebpf, "DEVICES")?)?,
            smallest: Array::try_from(take(ebpf, "SMALLEST_LIMIT")?)?,
        })
    }

    /// Sets the limit below which the programs need no look-up; 0 switches them off.
    pub fn set_smallest(&mut self, limit_bytes: u32) {
        if let Err(error) = self.smallest.set(0, limit_bytes, 0) {
            log::warn!("cannot set the smallest limit: {error}");
        }
    }

    /// Sets the limits of a device in the namespace with this inode number.
    pub fn set(&mut self, inode: u64, ifindex: u32, limits: DeviceLimits) {
        if let Err(error) = self.devices.insert(key(inode, ifindex), limits, 0) {
            log::warn!("no room for the limits of device {ifindex}: {error}");
        }
    }

    /// Takes a device's limits back, if it has any.
    pub fn remove(&mut self, inode: u64, ifindex: u32) {
        let _absent = self.devices.remove(&key(inode, ifindex));
    }
}

fn key(inode: u64, ifindex: u32) -> DeviceKey {
    DeviceKey {
        netns_inode: u32::try_from(inode).unwrap_or(0),
        ifindex,
    }
}
