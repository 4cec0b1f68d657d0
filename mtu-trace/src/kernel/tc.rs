//! Attaches a tc program to a device, and finds what a killed run has left on devices.
//!
//! Where the kernel has tcx, attachments are links: they close with the process, however it ends.
//! Elsewhere they are filters of a `clsact` qdisc, which outlive a killed process: the next start
//! finds them by their names and removes them. Foreign qdiscs and filters are left alone: a qdisc
//! is removed only if one of ours is marked as having brought it.

use std::panic::resume_unwind;
use std::{io, thread};

use aya::Ebpf;
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
    qdisc_detach_program,
};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::kernel::hooks::{AttachPoint, Attachment, Mechanism, TraceHook};
use crate::kernel::load::{self, Refusal};
use crate::kernel::qdisc;

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
    for ifindex in qdisc::with_clsact() {
        let Ok(name) = name(ifindex) else {
            continue;
        };
        let brought = qdisc::has_priority(ifindex, PRIORITY_OWN_QDISC);
        let ours = [
            (TcAttachType::Ingress, "mtu_trace_in"),
            (TcAttachType::Egress, "mtu_trace_out"),
        ];
        let detached = |&(at, program): &_| qdisc_detach_program(&name, at, program).is_ok();
        removed += ours.iter().filter(|it| detached(it)).count();
        if brought {
            qdisc::remove_if_empty(ifindex);
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
    let program: &mut SchedClassifier = load::program(ebpf, program)?.try_into()?;
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
