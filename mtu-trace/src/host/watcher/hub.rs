//! The one place from which every namespace is asked and heard: a network namespace of the
//! tracer's own, empty, that nobody else sees.
//!
//! Neither a descriptor nor a socket may be kept in a namespace that is looked at, because either
//! would keep it alive (see [`crate::host::netns`]). But a namespace can know others by number, its
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
//! would see and reuse them; so this namespace is made for them. It consists of three sockets and
//! vanishes when they close, however the tracer ends.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::panic::resume_unwind;
use std::{io, thread};

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::base::netlink::{BUFFER_BYTES, Netlink};
use crate::host::watcher::notice;
use crate::host::watcher::notice::Notice;

/// A namespace's number in the hub. Numbers of dead namespaces are given out again.
pub(crate) type Nsid = i32;

/// Room for notifications not yet read: about a thousand new devices.
const EVENTS_BYTES: usize = 8 << 20;
/// Room for those of routes and rules: about two thousand. A router that learns its routes can make
/// more within a second than there could ever be room for.
const ROUTE_EVENTS_BYTES: usize = 2 << 20;

pub(crate) struct Hub {
    requests: Netlink,
    events: Socket,
    /// A socket of their own: when they are too many, nothing is lost but them.
    route_events: Socket,
    buffer: RefCell<Vec<u8>>,
}

impl Hub {
    /// Makes the namespace and its sockets, and starts listening.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_SYS_ADMIN` and `CAP_NET_BROADCAST`; `ENOSPC` when `user.max_net_namespaces` allows no more.
    pub fn new() -> io::Result<Self> {
        // The sockets are made on a thread that ends at once: a namespace with a thread in it would
        // be found and shown by everyone who looks through `/proc`.
        let (requests, events, route_events) = thread::scope(|scope| {
            let thread =
                thread::Builder::new()
                    .name("hub".to_owned())
                    .spawn_scoped(scope, || {
                        // SAFETY: only `UnshareFlags::FILES` is unsafe to unshare.
                        unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
                        let events = event_socket(EVENTS_BYTES, &notice::GROUPS)?;
                        let route_events = event_socket(ROUTE_EVENTS_BYTES, &notice::ROUTE_GROUPS)?;
                        let requests = Netlink::open(NETLINK_ROUTE)?.strict()?;
                        Ok::<_, io::Error>((requests, events, route_events))
                    })?;
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })?;
        Ok(Self {
            requests,
            events,
            route_events,
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

    /// Sends a dump request, see [`Netlink::dump`].
    ///
    /// # Errors
    ///
    /// The kernel's answer: `EINVAL` if the request names a namespace that is gone.
    pub fn dump<C>(
        &self,
        request: &RouteNetlinkMessage,
        start: impl FnMut() -> C,
        each: impl FnMut(&mut C, &[u8]),
    ) -> io::Result<C> {
        self.requests.dump(request, start, each)
    }

    /// Sends a request for one thing and hands over the payload of the answer.
    ///
    /// # Errors
    ///
    /// The kernel's answer: `ENODEV` if there is no such device, otherwise as with a dump.
    pub fn get(&self, request: RouteNetlinkMessage, each: impl FnMut(&[u8])) -> io::Result<()> {
        self.ask(request, 0, each)
    }

    /// Hands over what has been heard since the last call, without waiting.
    ///
    /// # Errors
    ///
    /// Whatever `recvmsg(2)` says, except that it would block.
    pub fn notices(&self, each: impl FnMut(Notice)) -> io::Result<()> {
        notice::receive(self.events.as_fd(), &mut self.buffer.borrow_mut(), each)
    }

    /// The numbers of the namespaces whose routes or rules have changed since the last call, and
    /// whether they may be more. Does not wait.
    ///
    /// # Errors
    ///
    /// As with [`Hub::notices`].
    pub fn rerouted(&self) -> io::Result<(BTreeSet<Nsid>, bool)> {
        notice::receive_origins(self.route_events.as_fd(), &mut self.buffer.borrow_mut())
    }

    /// Readable when there is something to hear, except of routes and rules.
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    fn ask(
        &self,
        request: RouteNetlinkMessage,
        flags: u16,
        each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.requests.ask_raw(request, flags, each)
    }
}

fn event_socket(room_bytes: usize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    set_socket_recv_buffer_size_force(&socket, room_bytes)?;
    socket.bind_auto()?;
    socket.set_listen_all_namespaces(true)?;
    for &group in groups {
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
