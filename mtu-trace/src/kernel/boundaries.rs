//! The devices the tc programs sit on, and in what order they get there.
//!
//! They sit only where a larger packet can come by a smaller limit. An attachment by tcx costs the
//! kernel a grace period under the lock of all network configuration (`tcx_entry_sync`): with many
//! boundaries that adds up to seconds, in which new ones appear. So attachments wait in a queue
//! whose order is what helps soonest: directions that have a limit before those that only show ICMP
//! errors on their way, and devices just made, whose traffic is about to begin, before others.
//!
//! A device that leads into no smaller limit any more keeps its programs: taking them off costs
//! another grace period, and a limit that comes and goes with a container would cost two each time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use aya::Ebpf;
use aya::programs::TcAttachType;
use aya::programs::tc::SchedClassifierLink;
use mtu_trace_common::map::DeviceLimits;

use crate::base::clock::monotonic_ns;
use crate::host::watcher::Entrance;
use crate::kernel::coverage::Coverage;
use crate::kernel::hooks::{AttachPoint, Attachment, Mechanism, TraceHook};
use crate::kernel::load::LoadOptions;
use crate::kernel::program::Refusal;
use crate::kernel::tc::{self, Qdisc};
use crate::model::hook_status::HookStatus;
use crate::model::network::NetnsId;

/// A device of this host: its namespace and interface index.
pub type DeviceId = (NetnsId, u32);

/// The devices the tc programs sit on or shall.
pub struct Boundaries {
    hooks: Vec<DeviceHook>,
    devices: HashMap<DeviceId, BoundaryDevice>,
    tasks: BTreeSet<Task>,
    /// How many attachments were asked for so far, to tell what is new.
    asked: u64,
    coverage: Coverage,
}

/// A hook whose programs are attached device by device.
struct DeviceHook {
    hook: &'static TraceHook,
    /// What the kernel accepts, or the last mechanism it refused and why.
    attachment: Result<&'static Attachment, (Mechanism, String)>,
}

/// A device that the programs sit on or shall.
struct BoundaryDevice {
    entrance: Entrance,
    limits: DeviceLimits,
    /// How it stands with each hook: as many as there are hooks.
    slots: Vec<Slot>,
    qdisc: Qdisc,
    /// What is on it holds until it is taken off, or the device goes.
    has_filters: bool,
}

/// How it stands with a hook at a device.
enum Slot {
    /// The program is still to be attached.
    Waiting,
    /// The program is attached for as long as the link is kept.
    On(SchedClassifierLink),
    /// The kernel did not want the program there.
    Refused,
}

impl Slot {
    fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }
}

/// An attachment to be made; the smallest is the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    without_limit: bool,
    asked: Reverse<u64>,
    device: DeviceId,
    /// Index of the hook.
    hook: usize,
}

/// How a device changes.
pub enum DeviceChange {
    /// It is gone from its namespace, or with it.
    Gone,
    /// It has no limits any more.
    Unwanted,
    /// It has these limits from now on, in the namespace behind the entrance.
    Wanted(DeviceLimits, Entrance),
}

impl Boundaries {
    /// Finds out how the programs can be attached, on a device that nobody uses. How devices are
    /// covered goes to `coverage`.
    pub fn new(
        ebpf: &mut Ebpf,
        per_device: &[&'static TraceHook],
        options: &LoadOptions,
        coverage: Coverage,
    ) -> Self {
        let probed = per_device.iter().map(|&hook| DeviceHook {
            hook,
            attachment: tc::probe(ebpf, hook, &options.attachments(hook)),
        });
        Self {
            hooks: probed.collect(),
            devices: HashMap::new(),
            tasks: BTreeSet::new(),
            asked: 0,
            coverage,
        }
    }

    /// Takes over how a device changes.
    pub fn change(&mut self, device: DeviceId, change: DeviceChange) {
        match change {
            DeviceChange::Wanted(limits, entrance) => self.want(device, limits, entrance),
            // What is on it stays.
            DeviceChange::Unwanted => {
                if let Some(known) = self.devices.get_mut(&device) {
                    known.limits = DeviceLimits::default();
                }
            }
            DeviceChange::Gone => {
                if let Some(mut known) = self.devices.remove(&device)
                    && known.has_filters
                {
                    // The filters went with the device; detaching them here would hit a namesake.
                    known.leave();
                }
            }
        }
    }

    /// Queues what is to be attached to a device with these limits.
    fn want(&mut self, device: DeviceId, limits: DeviceLimits, entrance: Entrance) {
        let known = self.devices.entry(device);
        let known = known.or_insert_with(|| BoundaryDevice {
            entrance: entrance.clone(),
            limits,
            slots: self.hooks.iter().map(|_| Slot::Waiting).collect(),
            qdisc: Qdisc::NotOurs,
            has_filters: false,
        });
        known.limits = limits;
        known.entrance = entrance;
        self.asked += 1;
        for (hook, slot) in known.slots.iter().enumerate() {
            if matches!(slot, Slot::Waiting) {
                self.tasks.insert(Task {
                    without_limit: self.hooks[hook].limit_bytes(limits) == 0,
                    asked: Reverse(self.asked),
                    device,
                    hook,
                });
            }
        }
        self.cover(device);
    }

    /// Whether the next attachment is one of a direction that has a limit; `None` without any.
    pub fn next_has_limit(&self) -> Option<bool> {
        self.tasks.first().map(|task| !task.without_limit)
    }

    /// Makes the next attachment; gives the device if its namespace cannot be entered, which is to be
    /// wanted anew then.
    pub fn step(&mut self, ebpf: &mut Ebpf) -> Option<DeviceId> {
        while let Some(Task { device, hook, .. }) = self.tasks.pop_first() {
            let DeviceHook {
                hook: TraceHook { name, .. },
                attachment,
            } = &self.hooks[hook];
            let Some(known) = self.devices.get_mut(&device) else {
                continue;
            };
            if known.limits == DeviceLimits::default() {
                continue; // it may be wanted again
            }
            let slot = &mut known.slots[hook];
            let Ok(attachment) = attachment else {
                *slot = Slot::Refused;
                continue;
            };
            if !matches!(slot, Slot::Waiting) {
                continue;
            }
            let (entrance, qdisc) = (&known.entrance, &mut known.qdisc);
            let attach = || tc::attach(ebpf, attachment, device.1, qdisc);
            let attached = match entrance.open().and_then(|netns| netns.run(attach)) {
                Ok(attached) => attached,
                Err(error) => {
                    log::debug!("cannot enter netns {}: {error}", entrance.inode);
                    return Some(device);
                }
            };
            known.has_filters |= attachment.mechanism == Mechanism::Clsact;
            *slot = attached.map_or_else(
                |error| {
                    // Most often the device has just gone.
                    let (index, why) = (device.1, Refusal::from(error).why);
                    log::debug!("cannot attach {name} to device {index}: {why}");
                    Slot::Refused
                },
                Slot::On,
            );
            self.cover(device);
            break;
        }
        None
    }

    /// Tells how a device is covered now.
    fn cover(&self, device: DeviceId) {
        let Some(known) = self.devices.get(&device) else {
            return;
        };
        let now_ns = monotonic_ns();
        let since = |before: u64, is: bool| match (before, is) {
            (_, false) => 0,
            (0, true) => now_ns,
            (before, true) => before,
        };
        let mut slots = known.slots.iter().zip(&self.hooks);
        let whole = known.slots.iter().all(Slot::is_on);
        let limited = slots.all(|(slot, hook)| slot.is_on() || hook.limit_bytes(known.limits) == 0);
        self.coverage.change(device, |covered| {
            covered.limited_ns = since(covered.limited_ns, limited);
            covered.whole_ns = since(covered.whole_ns, whole);
        });
    }

    /// Takes the programs off all devices.
    pub fn detach(&mut self) {
        self.tasks.clear();
        let mut by_netns: BTreeMap<NetnsId, Vec<(u32, BoundaryDevice)>> = BTreeMap::new();
        for ((netns, ifindex), device) in self.devices.drain() {
            if device.has_filters {
                by_netns.entry(netns).or_default().push((ifindex, device));
            } // other links close from anywhere
        }
        for devices in by_netns.into_values() {
            let Some(entrance) = devices.first().map(|(_, device)| device.entrance.clone()) else {
                continue;
            };
            let mut devices = Some(devices);
            let done = entrance.open().and_then(|netns| {
                netns.run(|| {
                    for (ifindex, device) in devices.take().unwrap_or_default() {
                        let qdisc = device.qdisc;
                        drop(device);
                        if qdisc == Qdisc::Ours {
                            tc::remove_if_empty(ifindex);
                        }
                    }
                })
            });
            if let Err(error) = done {
                log::debug!("cannot enter netns {}: {error}", entrance.inode);
            }
            for (_, mut device) in devices.unwrap_or_default() {
                device.leave();
            }
        }
    }

    /// What became of the tc hooks.
    #[must_use]
    pub fn status(&self) -> Vec<HookStatus> {
        let hooks = self.hooks.iter().enumerate();
        let status = hooks.map(
            |(index, DeviceHook { hook, attachment })| match attachment {
                Ok(it) => hook.attached(it.mechanism, Some(self.detail(index))),
                Err((mechanism, why)) => hook.missing(*mechanism, why.clone()),
            },
        );
        status.collect()
    }

    fn detail(&self, hook: usize) -> String {
        let on = |device: &&BoundaryDevice| device.slots[hook].is_on();
        let waiting = |device: &&BoundaryDevice| {
            matches!(device.slots[hook], Slot::Waiting) && device.limits != DeviceLimits::default()
        };
        let waiting = self.devices.values().filter(waiting).count();
        let to_follow = match waiting {
            0 => String::new(),
            more => format!(", {more} more to follow"),
        };
        match self.devices.values().filter(on).count() {
            0 if waiting == 0 => "works; no device leads into a smaller limit now".to_owned(),
            1 => format!("on 1 device{to_follow}"),
            more => format!("on {more} devices{to_follow}"),
        }
    }
}

impl BoundaryDevice {
    /// Leaves filters where they are.
    fn leave(&mut self) {
        for slot in self.slots.drain(..) {
            if let Slot::On(link) = slot {
                std::mem::forget(link);
            }
        }
    }
}

impl DeviceHook {
    /// The limit that the programs measure against; 0 for none.
    fn limit_bytes(&self, limits: DeviceLimits) -> u32 {
        match self.hook.attachments[0].point {
            AttachPoint::Devices(_, TcAttachType::Ingress) => limits.ingress_bytes,
            _ => limits.egress_bytes,
        }
    }
}
