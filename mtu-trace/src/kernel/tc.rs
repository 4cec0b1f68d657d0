//! Attaches the tc programs to boundary devices, in whatever namespace they are, and takes them
//! off again.
//!
//! Where the kernel has tcx, attachments are links: they close with the process, however it ends.
//! Elsewhere they are filters of a `clsact` qdisc, which outlive a killed process: the next start
//! finds them by their names and removes them. Foreign qdiscs and filters are left alone: a qdisc
//! is removed only if one of ours is marked as having brought it.
//!
//! They sit only where a larger packet can come by a smaller limit. An attachment costs the kernel
//! a grace period under the lock of all network configuration (`tcx_entry_sync`), and packets a
//! look: a host without a mismatch pays neither.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    panic::resume_unwind,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use aya::{
    Ebpf,
    maps::{Array, HashMap as BpfHashMap, MapData},
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        tc::{
            NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
            qdisc_detach_program,
        },
    },
};
use mtu_trace_common::map::{DeviceKey, DeviceLimits};
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, netdevice::index_to_name, socket_with},
    thread::{UnshareFlags, unshare_unsafe},
};

use super::{
    clock::monotonic_ns,
    coverage::Coverage,
    hooks::{Hook, HookStatus, Mechanism},
    load::{LoadOptions, reason},
    maps::take,
    qdisc,
};
use crate::topology::{NetnsFile, NetnsId};

/// Priority of our filters: late, so that filters of others decide first. The second value marks
/// a filter whose qdisc we brought.
const PRIORITY: u16 = 49_001;
const PRIORITY_OWN_QDISC: u16 = 49_002;

/// The devices the tc programs sit on.
pub struct Boundaries {
    hooks: Vec<State>,
    limits: BpfHashMap<MapData, DeviceKey, DeviceLimits>,
    smallest: Array<MapData, u32>,
    devices: HashMap<(NetnsId, u32), Attached>,
    coverage: Coverage,
}

struct State {
    hook: &'static Hook,
    /// The mechanism that the kernel accepts, or the last one it refused and why.
    mechanism: Result<Mechanism, (Mechanism, String)>,
}

struct Attached {
    limits: DeviceLimits,
    links: Vec<SchedClassifierLink>,
    own_qdisc: bool,
    clsact: bool,
}

impl Attached {
    fn new(limits: DeviceLimits) -> Self {
        Self {
            limits,
            links: Vec::new(),
            own_qdisc: false,
            clsact: false,
        }
    }
}

/// A device that should carry the programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Interface index.
    pub ifindex: u32,
    /// Its onward limits.
    pub limits: DeviceLimits,
}

impl Boundaries {
    /// Takes the tc programs' maps out of the loaded object and finds out how the programs can be
    /// attached, on a device that nobody uses.
    ///
    /// # Errors
    ///
    /// If the object lacks the maps.
    pub fn new(
        ebpf: &mut Ebpf,
        per_device: &[&'static Hook],
        options: &LoadOptions,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            limits: BpfHashMap::try_from(take(ebpf, "DEVICES")?)?,
            smallest: Array::try_from(take(ebpf, "SMALLEST_LIMIT")?)?,
            hooks: per_device
                .iter()
                .map(|&hook| State {
                    hook,
                    mechanism: probe(ebpf, hook, &options.mechanisms(hook)),
                })
                .collect(),
            devices: HashMap::new(),
            coverage: Coverage::default(),
        })
    }

    /// Since when which device is looked at, for as long as this lives.
    pub fn coverage(&self) -> Coverage {
        self.coverage.clone()
    }

    /// Sets the limit below which the programs need no look-up; 0 switches them off.
    pub fn set_smallest(&mut self, limit_bytes: u32) {
        if let Err(error) = self.smallest.set(0, limit_bytes, 0) {
            log::warn!("cannot set the smallest limit: {error}");
        }
    }

    /// Brings one namespace's devices to what is wanted: attaches to new ones, updates limits,
    /// lets go of others. `file` must be that namespace. Gives up early when `stop` is set.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be entered any more.
    pub fn apply(
        &mut self,
        ebpf: &mut Ebpf,
        file: &NetnsFile,
        wanted: &[Wanted],
        stop: &AtomicBool,
    ) -> io::Result<()> {
        let id = file.id;
        let names: BTreeMap<u32, &Wanted> = wanted
            .iter()
            .map(|device| (device.ifindex, device))
            .collect();
        let gone: Vec<u32> = self
            .devices
            .keys()
            .filter(|(netns, ifindex)| *netns == id && !names.contains_key(ifindex))
            .map(|&(_, ifindex)| ifindex)
            .collect();
        let inode = u32::try_from(file.inode).unwrap_or(0);
        for (&ifindex, device) in &names {
            let key = DeviceKey {
                netns_inode: inode,
                ifindex,
            };
            let known = self.devices.get_mut(&(id, ifindex));
            let changed = known
                .as_ref()
                .is_none_or(|known| known.limits != device.limits);
            if changed && let Err(error) = self.limits.insert(key, device.limits, 0) {
                log::warn!("no room for the limits of device {ifindex}: {error}");
            }
            if changed {
                self.coverage.change((id, ifindex), |covered| {
                    covered.limits = device.limits;
                    covered.limits_ns = monotonic_ns();
                });
            }
            if let Some(known) = known {
                known.limits = device.limits;
            }
        }
        let new: Vec<&Wanted> = names
            .into_values()
            .filter(|device| !self.devices.contains_key(&(id, device.ifindex)))
            .collect();
        let leaving: Vec<Attached> = gone
            .iter()
            .filter_map(|&ifindex| self.devices.remove(&(id, ifindex)))
            .collect();
        for ifindex in gone {
            self.coverage.remove((id, ifindex));
            let _absent = self.limits.remove(&DeviceKey {
                netns_inode: inode,
                ifindex,
            });
        }
        if new.is_empty() && leaving.is_empty() {
            return Ok(());
        }
        let hooks = &self.hooks;
        let coverage = &self.coverage;
        let attached = file.run(|| {
            // Leaving devices are mostly gone already, and their links with them.
            drop(leaving);
            new.iter()
                .take_while(|_| !stop.load(Ordering::Relaxed))
                .map(|device| {
                    let attached = attach(ebpf, hooks, device);
                    coverage.change((id, device.ifindex), |covered| {
                        covered.limited_ns = monotonic_ns();
                        covered.whole_ns = covered.limited_ns;
                    });
                    (device.ifindex, attached)
                })
                .collect::<Vec<_>>()
        })?;
        for (ifindex, device) in attached {
            self.devices.insert((id, ifindex), device);
        }
        Ok(())
    }

    /// Forgets a namespace that is gone, with the limits of its devices.
    pub fn forget(&mut self, netns: NetnsId, inode: u64) {
        let netns_inode = u32::try_from(inode).unwrap_or(0);
        let limits = &mut self.limits;
        let coverage = &self.coverage;
        self.devices.retain(|&(known, ifindex), device| {
            if known != netns {
                return true;
            }
            coverage.remove((known, ifindex));
            let _absent = limits.remove(&DeviceKey {
                netns_inode,
                ifindex,
            });
            // A filter went with its device; detaching it here would hit a namesake.
            for link in device.links.drain(..) {
                if device.clsact {
                    std::mem::forget(link);
                }
            }
            false
        });
    }

    /// Takes everything off. `files` are the namespaces that still live.
    pub fn detach(&mut self, files: &[NetnsFile]) {
        let mut by_netns: BTreeMap<NetnsId, Vec<(u32, Attached)>> = BTreeMap::new();
        for ((netns, ifindex), device) in self.devices.drain() {
            by_netns.entry(netns).or_default().push((ifindex, device));
        }
        for (netns, devices) in by_netns {
            if devices.iter().all(|(_, device)| !device.clsact) {
                continue; // links close from anywhere
            }
            let Some(file) = files.iter().find(|file| file.id == netns) else {
                for (_, mut device) in devices {
                    device.links.drain(..).for_each(std::mem::forget);
                }
                continue;
            };
            let done = file.run(|| {
                for (ifindex, device) in devices {
                    let own = device.own_qdisc;
                    drop(device);
                    if own {
                        qdisc::remove_if_empty(ifindex);
                    }
                }
            });
            if let Err(error) = done {
                log::warn!("cannot enter netns {} to detach: {error}", file.inode);
            }
        }
    }

    /// What became of the tc hooks.
    #[must_use]
    pub fn status(&self) -> Vec<HookStatus> {
        let devices = self
            .devices
            .values()
            .filter(|device| !device.links.is_empty())
            .count();
        self.hooks
            .iter()
            .map(|state| match &state.mechanism {
                Ok(mechanism) => HookStatus::attached(
                    state.hook,
                    *mechanism,
                    Some(match devices {
                        0 => "works; no device leads into a smaller limit now".to_owned(),
                        1 => "on 1 device".to_owned(),
                        more => format!("on {more} devices"),
                    }),
                ),
                Err((mechanism, why)) => HookStatus::missing(state.hook, *mechanism, why.clone()),
            })
            .collect()
    }
}

/// Removes what a killed run left behind on the devices of the namespace of the calling thread.
/// Returns how many filters there were.
pub fn sweep() -> usize {
    let mut removed = 0;
    for ifindex in qdisc::with_clsact() {
        let Ok(name) = name(ifindex) else {
            continue;
        };
        let brought = qdisc::has_priority(ifindex, PRIORITY_OWN_QDISC);
        for (attach, program) in [
            (TcAttachType::Ingress, "mtu_trace_in"),
            (TcAttachType::Egress, "mtu_trace_out"),
        ] {
            if qdisc_detach_program(&name, attach, program).is_ok() {
                removed += 1;
            }
        }
        if brought {
            qdisc::remove_if_empty(ifindex);
        }
    }
    removed
}

/// Finds the first mechanism by which a program can be attached, on the loopback device of a
/// namespace made for that and gone at once.
fn probe(
    ebpf: &mut Ebpf,
    hook: &Hook,
    mechanisms: &[Mechanism],
) -> Result<Mechanism, (Mechanism, String)> {
    let loopback = Wanted {
        ifindex: 1,
        limits: DeviceLimits::default(),
    };
    let mut refused = (hook.mechanisms[0], "no mechanism to try".to_owned());
    for &mechanism in mechanisms {
        let tried = apart(|| {
            let mut attached = Attached::new(loopback.limits);
            attach_one(ebpf, hook, mechanism, &loopback, &mut attached).map(drop)
        });
        match tried {
            Ok(Ok(())) => return Ok(mechanism),
            Ok(Err(error)) => refused = (mechanism, reason(&error)),
            Err(error) => {
                refused = (
                    mechanism,
                    format!("no network namespace to try it in: {error}"),
                );
            }
        }
    }
    Err(refused)
}

/// Runs something on a thread in an empty network namespace of its own.
fn apart<T: Send>(inside: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                // SAFETY: a new network namespace for this thread alone takes nothing away that
                // other threads share; its descriptors and memory stay common.
                unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
                Ok(inside())
            })
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Attaches every hook to one device, in the namespace of the calling thread.
fn attach(ebpf: &mut Ebpf, hooks: &[State], device: &Wanted) -> Attached {
    let mut attached = Attached::new(device.limits);
    for state in hooks {
        let Ok(mechanism) = state.mechanism else {
            continue;
        };
        match attach_one(ebpf, state.hook, mechanism, device, &mut attached) {
            Ok(link) => attached.links.push(link),
            Err(error) => log::warn!(
                "cannot attach {} to device {}: {}",
                state.hook.name,
                device.ifindex,
                reason(&error)
            ),
        }
    }
    attached
}

fn attach_one(
    ebpf: &mut Ebpf,
    hook: &Hook,
    mechanism: Mechanism,
    device: &Wanted,
    attached: &mut Attached,
) -> Result<SchedClassifierLink, ProgramError> {
    let name = name(device.ifindex).map_err(TcError::IoError)?;
    let program: &mut SchedClassifier = ebpf
        .program_mut(hook.program)
        .ok_or(ProgramError::NotLoaded)?
        .try_into()?;
    let direction = if hook.name == "tc:ingress" {
        TcAttachType::Ingress
    } else {
        TcAttachType::Egress
    };
    let options = match mechanism {
        Mechanism::Clsact => {
            match qdisc_add_clsact(&name) {
                Ok(()) => attached.own_qdisc = true,
                Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {
                }
                Err(TcError::AlreadyAttached) => {}
                Err(error) => return Err(error.into()),
            }
            attached.clsact = true;
            TcAttachOptions::Netlink(NlOptions {
                priority: if attached.own_qdisc {
                    PRIORITY_OWN_QDISC
                } else {
                    PRIORITY
                },
                handle: TcHandle::AUTO_ASSIGN,
                classid: None,
            })
        }
        // Last in the row: programs that drop or redirect have had their turn.
        _ => TcAttachOptions::TcxOrder(LinkOrder::last()),
    };
    let link = program.attach_with_options(&name, direction, options)?;
    program.take_link(link)
}

/// The name of a device in the namespace of the calling thread, which is how aya finds it again.
fn name(ifindex: u32) -> io::Result<String> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(index_to_name(socket, ifindex)?)
}
