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

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use aya::{Ebpf, programs::tc::SchedClassifierLink};
use mtu_trace_common::map::DeviceLimits;

use crate::{
    base::clock::monotonic_ns,
    host::watcher::Entrance,
    kernel::{
        coverage::Coverage,
        hooks::{Hook, Mechanism, Way},
        load::{LoadOptions, reason},
        qdisc, tc,
    },
    model::{hook_status::HookStatus, network::NetnsId},
};

/// A device of this host: its namespace and interface index.
pub type Device = (NetnsId, u32);

/// The devices the tc programs sit on or shall.
pub struct Boundaries {
    hooks: Vec<State>,
    devices: HashMap<Device, Attached>,
    tasks: BTreeSet<Task>,
    /// How many attachments were asked for so far, to tell what is new.
    asked: u64,
    coverage: Coverage,
}

struct State {
    hook: &'static Hook,
    /// The way that the kernel accepts, or the last mechanism it refused and why.
    way: Result<&'static Way, (Mechanism, String)>,
}

struct Attached {
    entrance: Entrance,
    limits: DeviceLimits,
    /// As many as there are hooks.
    slots: Vec<Slot>,
    own_qdisc: bool,
    clsact: bool,
}

enum Slot {
    Waiting,
    On(SchedClassifierLink),
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
    device: Device,
    hook: usize,
}

/// What became of a [`Boundaries::step`].
pub enum Step {
    /// An attachment was made or refused, or there was none to make.
    Done,
    /// The device's namespace could not be entered. It is to be wanted anew.
    NoEntrance(Device),
}

impl Boundaries {
    /// Finds out how the programs can be attached, on a device that nobody uses. How devices are
    /// covered goes to `coverage`.
    pub fn new(
        ebpf: &mut Ebpf,
        per_device: &[&'static Hook],
        options: &LoadOptions,
        coverage: Coverage,
    ) -> Self {
        Self {
            hooks: per_device
                .iter()
                .map(|&hook| State {
                    hook,
                    way: tc::probe(ebpf, hook, &options.ways(hook)),
                })
                .collect(),
            devices: HashMap::new(),
            tasks: BTreeSet::new(),
            asked: 0,
            coverage,
        }
    }

    /// Queues what is to be attached to a device with these limits.
    pub fn want(&mut self, device: Device, limits: DeviceLimits, entrance: Entrance) {
        let known = self.devices.entry(device).or_insert_with(|| Attached {
            entrance: entrance.clone(),
            limits,
            slots: self.hooks.iter().map(|_| Slot::Waiting).collect(),
            own_qdisc: false,
            clsact: false,
        });
        known.limits = limits;
        known.entrance = entrance;
        self.asked += 1;
        for (hook, slot) in known.slots.iter().enumerate() {
            if matches!(slot, Slot::Waiting) {
                self.tasks.insert(Task {
                    without_limit: limit(self.hooks[hook].hook, limits) == 0,
                    asked: Reverse(self.asked),
                    device,
                    hook,
                });
            }
        }
        self.cover(device);
    }

    /// Leaves a device that has no limits any more as it is.
    pub fn unwant(&mut self, device: Device) {
        if let Some(known) = self.devices.get_mut(&device) {
            known.limits = DeviceLimits::default();
        }
    }

    /// Forgets a device that is gone from its namespace, or with it.
    pub fn forget(&mut self, device: Device) {
        if let Some(mut known) = self.devices.remove(&device)
            && known.clsact
        {
            // The filters went with the device; detaching them here would hit a namesake.
            known.leave();
        }
    }

    /// Whether the next attachment is one of a direction that has a limit; `None` without any.
    pub fn next_has_limit(&self) -> Option<bool> {
        self.tasks.first().map(|task| !task.without_limit)
    }

    /// Makes the next attachment.
    pub fn step(&mut self, ebpf: &mut Ebpf) -> Step {
        while let Some(task) = self.tasks.pop_first() {
            let device = task.device;
            let state = &self.hooks[task.hook];
            let Some(known) = self.devices.get_mut(&device) else {
                continue;
            };
            if known.limits == DeviceLimits::default() {
                continue; // it may be wanted again
            }
            let slot = &mut known.slots[task.hook];
            let Ok(way) = state.way else {
                *slot = Slot::Refused;
                continue;
            };
            if !matches!(slot, Slot::Waiting) {
                continue;
            }
            let own_qdisc = known.own_qdisc;
            let attached = known.entrance.open().and_then(|netns| {
                netns.run(|| tc::attach(ebpf, state.hook, way, device.1, own_qdisc))
            });
            let attached = match attached {
                Ok(attached) => attached,
                Err(error) => {
                    log::debug!("cannot enter netns {}: {error}", known.entrance.inode());
                    return Step::NoEntrance(device);
                }
            };
            known.clsact |= way.mechanism == Mechanism::Clsact;
            match attached {
                Ok(attached) => {
                    known.own_qdisc |= attached.own_qdisc;
                    *slot = Slot::On(attached.link);
                }
                Err(error) => {
                    *slot = Slot::Refused;
                    // Most often the device has just gone.
                    let (hook, index) = (state.hook.name, device.1);
                    log::debug!("cannot attach {hook} to device {index}: {}", reason(&error));
                }
            }
            self.cover(device);
            break;
        }
        Step::Done
    }

    /// Tells how a device is covered now.
    fn cover(&self, device: Device) {
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
        let limited =
            slots.all(|(slot, state)| slot.is_on() || limit(state.hook, known.limits) == 0);
        self.coverage.change(device, |covered| {
            covered.limited_ns = since(covered.limited_ns, limited);
            covered.whole_ns = since(covered.whole_ns, whole);
        });
    }

    /// Takes everything off.
    pub fn detach(&mut self) {
        self.tasks.clear();
        let mut by_netns: BTreeMap<NetnsId, Vec<(u32, Attached)>> = BTreeMap::new();
        for ((netns, ifindex), device) in self.devices.drain() {
            if device.clsact {
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
                        let own = device.own_qdisc;
                        drop(device);
                        if own {
                            qdisc::remove_if_empty(ifindex);
                        }
                    }
                })
            });
            if let Err(error) = done {
                log::debug!("cannot enter netns {}: {error}", entrance.inode());
            }
            for (_, mut device) in devices.unwrap_or_default() {
                device.leave();
            }
        }
    }

    /// What became of the tc hooks.
    #[must_use]
    pub fn status(&self) -> Vec<HookStatus> {
        self.hooks
            .iter()
            .enumerate()
            .map(|(index, state)| match &state.way {
                Ok(way) => state.hook.attached(way.mechanism, Some(self.detail(index))),
                Err((mechanism, why)) => state.hook.missing(*mechanism, why.clone()),
            })
            .collect()
    }

    fn detail(&self, hook: usize) -> String {
        let on = |device: &&Attached| device.slots[hook].is_on();
        let waiting = |device: &&Attached| {
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

impl Attached {
    /// Leaves filters where they are.
    fn leave(&mut self) {
        for slot in self.slots.drain(..) {
            if let Slot::On(link) = slot {
                std::mem::forget(link);
            }
        }
    }
}

/// The limit a hook measures against; 0 for none.
fn limit(hook: &Hook, limits: DeviceLimits) -> u32 {
    if tc::is_ingress(hook) {
        limits.ingress_bytes
    } else {
        limits.egress_bytes
    }
}
