//! The one place from which every namespace is asked and heard: a network namespace of the
//! tracer's own, empty, that nobody else sees.
//!
//! Neither a descriptor nor a socket may be kept in a namespace that is looked at, because either
//! would keep it alive (see [`super::netns`]). But a namespace can know others by number, its
//! "nsids", which hold no reference and end with the namespace they stand for (kernel:
//! `net/core/net_namespace.c`), and a netlink socket can reach through them:
//!
//! * `IFLA_TARGET_NETNSID` and `IFA_TARGET_NETNSID` (Linux 4.20) dump another namespace's links and
//!   addresses without entering it. The answer gives a veth's other end as a number of the asking
//!   namespace, so peers are exact, and one in a namespace not found before gets a new number.
//! * `NETLINK_LISTEN_ALL_NSID` delivers the notifications of every namespace that has a number.
//! * `RTM_DELNSID` tells of a namespace's death, at once.
//!
//! The numbers could be assigned in the tracer's own namespace, but there `ip netns` and others
//! would see and reuse them; so this namespace is made for them. It consists of two sockets and
//! vanishes when they close, however the tracer ends.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    panic::resume_unwind,
    thread,
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkMessage, parse_i32,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::{
    net::sockopt::set_socket_recv_buffer_size_force,
    thread::{UnshareFlags, unshare_unsafe},
};

use super::notice::{self, Notice};

/// A namespace's number in the hub. Numbers of dead namespaces are given out again.
pub(super) type Nsid = i32;

/// Room for one datagram of a dump; the kernel makes none larger than this.
const BUFFER_BYTES: usize = 64 * 1024;
/// Room for notifications not yet read: about a thousand new devices.
const EVENTS_BYTES: usize = 8 << 20;
/// How often a dump is repeated that was interrupted by a change, before it is taken as it is.
const DUMP_TRIES: u32 = 3;

pub(super) struct Hub {
    requests: Socket,
    events: Socket,
    sequence: Cell<u32>,
    buffer: RefCell<Vec<u8>>,
}

impl Hub {
    /// Makes the namespace and its sockets, and starts listening.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_SYS_ADMIN`; `ENOSPC` when `user.max_net_namespaces` allows no more.
    pub fn new() -> io::Result<Self> {
        // The sockets are made on a thread that ends at once: a namespace with a thread in it would
        // be found and shown by everyone who looks through `/proc`.
        let (requests, events) = thread::scope(|scope| {
            let thread =
                thread::Builder::new()
                    .name("hub".to_owned())
                    .spawn_scoped(scope, || {
                        // SAFETY: only `UnshareFlags::FILES` is unsafe to unshare.
                        unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
                        Ok::<_, io::Error>((request_socket()?, event_socket()?))
                    })?;
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })?;
        Ok(Self {
            requests,
            events,
            sequence: Cell::new(0),
            buffer: RefCell::new(vec![0; BUFFER_BYTES]),
        })
    }

    /// The number of an open namespace, if it has one.
    ///
    /// # Errors
    ///
    /// If the descriptor is not that of a network namespace.
    pub fn nsid(&self, netns: BorrowedFd<'_>) -> io::Result<Option<Nsid>> {
        let mut nsid = None;
        let request = RouteNetlinkMessage::GetNsId(nsid_message(netns, None));
        self.ask(request, 0, |payload| {
            nsid = notice::nsid(payload);
        })?;
        Ok(nsid)
    }

    /// Whether a number is that of a namespace that lives.
    pub fn is_alive(&self, nsid: Nsid) -> bool {
        let mut message = NsidMessage::default();
        message.attributes.push(NsidAttribute::Id(nsid));
        match self.ask(RouteNetlinkMessage::GetNsId(message), 0, |_| {}) {
            Ok(_) => true,
            // `rtnl_net_getid`: there is none with that number.
            Err(error) => error.raw_os_error() != Some(libc::ENOENT),
        }
    }

    /// Gives an open namespace a number, or finds the one it has.
    ///
    /// # Errors
    ///
    /// If the descriptor is not that of a network namespace.
    pub fn assign(&self, netns: BorrowedFd<'_>) -> io::Result<Nsid> {
        if let Some(nsid) = self.nsid(netns)? {
            return Ok(nsid);
        }
        let request = RouteNetlinkMessage::NewNsId(nsid_message(netns, Some(-1)));
        self.ask(request, NLM_F_ACK, |_| {})?;
        self.nsid(netns)?
            .ok_or_else(|| io::Error::other("the kernel gave the namespace no nsid"))
    }

    /// Sends a dump request and hands over the payload of every message of the answer. `start` is
    /// called before the first and whenever the answer starts over because of a change.
    ///
    /// # Errors
    ///
    /// The kernel's answer: `EINVAL` if the request names a namespace that is gone.
    pub fn dump<C>(
        &self,
        request: &RouteNetlinkMessage,
        mut start: impl FnMut() -> C,
        mut each: impl FnMut(&mut C, &[u8]),
    ) -> io::Result<C> {
        for last in (0..DUMP_TRIES).rev() {
            let mut collected = start();
            let interrupted = self.ask(request.clone(), NLM_F_DUMP, |payload| {
                each(&mut collected, payload);
            })?;
            if !interrupted || last == 0 {
                return Ok(collected);
            }
        }
        Ok(start())
    }

    /// Sends a request for one thing and hands over the payload of the answer.
    ///
    /// # Errors
    ///
    /// The kernel's answer: `ENODEV` if there is no such device, otherwise as with a dump.
    pub fn get(&self, request: RouteNetlinkMessage, each: impl FnMut(&[u8])) -> io::Result<()> {
        self.ask(request, 0, each).map(|_| ())
    }

    /// Hands over what has been heard since the last call, without waiting.
    ///
    /// # Errors
    ///
    /// Whatever `recvmsg(2)` says, except that it would block.
    pub fn notices(&self, each: impl FnMut(Notice)) -> io::Result<()> {
        notice::receive(self.events.as_fd(), &mut self.buffer.borrow_mut(), each)
    }

    /// Readable when there is something to hear.
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Sends one request and hands over the payloads of the answer. Returns whether a dump was
    /// interrupted by a change.
    fn ask(
        &self,
        request: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.requests.send(&bytes, 0)?;

        let mut buffer = self.buffer.borrow_mut();
        let mut interrupted = false;
        loop {
            let received = self.requests.recv(&mut &mut buffer[..], 0)?;
            let mut rest = buffer.get(..received).unwrap_or_default();
            while let Ok(message) = NetlinkBuffer::new_checked(rest) {
                // Messages are aligned to four bytes (`NLMSG_ALIGN`).
                let length = (message.length() as usize).next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
                if message.sequence_number() != sequence {
                    continue;
                }
                interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
                match message.message_type() {
                    // Both begin with an error number, 0 or negative.
                    NLMSG_DONE | NLMSG_ERROR => {
                        let code = message.payload().get(..4).map_or(Ok(0), parse_i32);
                        return match code {
                            Ok(0) => Ok(interrupted),
                            Ok(code) => Err(io::Error::from_raw_os_error(-code)),
                            Err(error) => Err(io::Error::other(error)),
                        };
                    }
                    _ => each(message.payload()),
                }
                if flags & (NLM_F_DUMP | NLM_F_ACK) == 0 {
                    return Ok(false);
                }
            }
        }
    }
}

fn request_socket() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // Without strict checking the kernel ignores what it does not know, such as the target of an
    // address dump, and answers for the wrong namespace.
    socket.set_netlink_get_strict_chk(true)?;
    Ok(socket)
}

fn event_socket() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    set_socket_recv_buffer_size_force(&socket, EVENTS_BYTES)?;
    socket.bind_auto()?;
    socket.set_listen_all_namespaces(true)?;
    for group in notice::GROUPS {
        socket.add_membership(group)?;
    }
    Ok(socket)
}

fn nsid_message(netns: BorrowedFd<'_>, wanted: Option<Nsid>) -> NsidMessage {
    let mut message = NsidMessage::default();
    if let Some(nsid) = wanted {
        message.attributes.push(NsidAttribute::Id(nsid));
    }
    // A descriptor in use is never negative.
    let fd = netns.as_raw_fd().cast_unsigned();
    message.attributes.push(NsidAttribute::Fd(fd));
    message
}
