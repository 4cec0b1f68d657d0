//! Attaches a tc program to a device, and finds what a killed run has left on devices.
//!
//! Where the kernel has tcx, attachments are links: they close with the process, however it ends.
//! Elsewhere they are filters of a `clsact` qdisc, which outlive a killed process: the next start
//! finds them by their names and removes them. Foreign qdiscs and filters are left alone: a qdisc
//! is removed only if one of ours is marked as having brought it.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::{io, thread};

use aya::Ebpf;
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
    qdisc_detach_program,
};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_route::tc::{TcAttribute, TcHandle as QdiscHandle, TcMessage};
use netlink_packet_route::{AddressFamily as NetlinkFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::base::netlink::Netlink;
use crate::kernel::hooks::{AttachPoint, Attachment, Mechanism, TraceHook};
use crate::kernel::program::{self, Refusal};

/// Priority of our filters. A choice: late, so that filters of others decide first.
const PRIORITY: u16 = 49_001;
/// Priority of a filter whose qdisc we brought, which it marks.
const PRIORITY_OWN_QDISC: u16 = 49_002;

/// Who brought the `clsact` qdisc of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qdisc {
    /// There is none, or it was there before.
    NotOurs,
    /// A program of ours did, and takes it off when nothing else uses it.
    Ours,
}

/// Removes what a killed run left behind on the devices of the namespace of the calling thread.
/// Returns how many filters there were.
pub fn sweep() -> usize {
    let mut removed = 0;
    for ifindex in with_clsact() {
        let Ok(name) = name(ifindex) else {
            continue;
        };
        let brought = has_priority(ifindex, PRIORITY_OWN_QDISC);
        let ours = [
            (TcAttachType::Ingress, "mtu_trace_in"),
            (TcAttachType::Egress, "mtu_trace_out"),
        ];
        let detached = |&(at, program): &_| qdisc_detach_program(&name, at, program).is_ok();
        removed += ours.iter().filter(|it| detached(it)).count();
        if brought {
            remove_if_empty(ifindex);
        }
    }
    removed
}

/// Finds the first way by which a program can be attached, on the loopback device of a namespace made
/// for that and gone at once.
pub fn probe(
    ebpf: &mut Ebpf,
    hook: &TraceHook,
    attachments: &[&'static Attachment],
) -> Result<&'static Attachment, (Mechanism, String)> {
    const LOOPBACK: u32 = 1;
    let mut refused = (hook.best(), "no mechanism to try".to_owned());
    for &attachment in attachments {
        let tried = apart(|| attach(ebpf, attachment, LOOPBACK, &mut Qdisc::NotOurs).map(drop));
        let why = match tried {
            Ok(Ok(())) => return Ok(attachment),
            Ok(Err(error)) => Refusal::from(error).why,
            Err(error) => format!("no network namespace to try it in: {error}"),
        };
        refused = (attachment.mechanism, why);
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

/// Attaches a hook's program to one device, in the namespace of the calling thread, until the link is
/// dropped. `qdisc` tells whether another program of ours brought the device's `clsact` qdisc, and
/// afterwards whether one did.
pub fn attach(
    ebpf: &mut Ebpf,
    attachment: &Attachment,
    ifindex: u32,
    qdisc: &mut Qdisc,
) -> Result<SchedClassifierLink, ProgramError> {
    let AttachPoint::Devices(program, direction) = attachment.point else {
        return Err(ProgramError::UnexpectedProgramType);
    };
    let name = name(ifindex).map_err(TcError::IoError)?;
    let program: &mut SchedClassifier = program::program(ebpf, program)?.try_into()?;
    let options = match attachment.mechanism {
        Mechanism::Clsact => {
            match qdisc_add_clsact(&name) {
                Ok(()) => *qdisc = Qdisc::Ours,
                Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {
                }
                Err(TcError::AlreadyAttached) => {}
                Err(error) => return Err(error.into()),
            }
            TcAttachOptions::Netlink(NlOptions {
                priority: match qdisc {
                    Qdisc::Ours => PRIORITY_OWN_QDISC,
                    Qdisc::NotOurs => PRIORITY,
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

/// `TC_H_CLSACT`, also the handle's parent.
const CLSACT: QdiscHandle = QdiscHandle {
    major: 0xffff,
    minor: 0xfff1,
};
/// `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS`.
const INGRESS: u16 = 0xfff2;
const EGRESS: u16 = 0xfff3;

/// The devices with a `clsact` qdisc, anyone's.
fn with_clsact() -> BTreeSet<u32> {
    let message = RouteNetlinkMessage::GetQueueDiscipline(message(0, QdiscHandle::default()));
    let answer = ask(message, NLM_F_DUMP).unwrap_or_else(|error| {
        log::warn!("cannot list queueing disciplines: {error}");
        Vec::new()
    });
    let devices = answer.into_iter().filter_map(|entry| match entry {
        RouteNetlinkMessage::NewQueueDiscipline(qdisc) if qdisc.attributes.contains(&kind()) => {
            u32::try_from(qdisc.header.index).ok()
        }
        _ => None,
    });
    devices.collect()
}

fn kind() -> TcAttribute {
    TcAttribute::Kind("clsact".to_owned())
}

/// Whether any of its filters has the given priority.
fn has_priority(ifindex: u32, priority: u16) -> bool {
    // The priority is the upper half of `tcm_info`.
    filters(ifindex)
        .iter()
        .any(|filter| filter.header.info >> 16 == u32::from(priority))
}

/// Removes the device's `clsact` qdisc, which must be there, if no filter is left on it.
pub fn remove_if_empty(ifindex: u32) {
    if !filters(ifindex).is_empty() {
        return;
    }
    let mut message = message(ifindex, CLSACT);
    message.header.handle = QdiscHandle {
        major: 0xffff,
        minor: 0,
    };
    message.attributes.push(kind());
    let message = RouteNetlinkMessage::DelQueueDiscipline(message);
    if let Err(error) = ask(message, NLM_F_ACK) {
        log::warn!("cannot remove our clsact qdisc from device {ifindex}: {error}");
    }
}

fn filters(ifindex: u32) -> Vec<TcMessage> {
    let ask = |minor| {
        let parent = QdiscHandle {
            major: CLSACT.major,
            minor,
        };
        let message = RouteNetlinkMessage::GetTrafficFilter(message(ifindex, parent));
        ask(message, NLM_F_DUMP).unwrap_or_default()
    };
    let entries = [INGRESS, EGRESS].into_iter().flat_map(ask);
    let filters = entries.filter_map(|entry| match entry {
        RouteNetlinkMessage::NewTrafficFilter(filter) => Some(filter),
        _ => None,
    });
    filters.collect()
}

fn message(ifindex: u32, parent: QdiscHandle) -> TcMessage {
    let mut message = TcMessage::with_index(i32::try_from(ifindex).unwrap_or(i32::MAX));
    message.header.family = NetlinkFamily::Unspec;
    message.header.parent = parent;
    message
}

fn ask(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    Netlink::open(NETLINK_ROUTE)?.ask(message, flags)
}
