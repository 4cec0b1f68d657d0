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
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::base::netlink::{BUFFER_BYTES, Netlink, messages};
use crate::host::netns;
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
    pub requests: Netlink,
    /// Readable when there is something to hear, except of routes and rules.
    pub events: Socket,
    /// A socket of their own: when they are too many, nothing is lost but them.
    route_events: Socket,
    buffer: RefCell<Vec<u8>>,
}

impl Hub {
    /// Makes the namespace and its sockets, and starts listening: `EPERM` without `CAP_SYS_ADMIN` and
    /// `CAP_NET_BROADCAST`, `ENOSPC` when `user.max_net_namespaces` allows no more.
    pub fn new() -> io::Result<Self> {
        // The sockets are made on a thread that ends at once: a namespace with a thread in it would
        // be found and shown by everyone who looks through `/proc`.
        netns::on_thread("hub", || {
            // SAFETY: only `UnshareFlags::FILES` is unsafe to unshare.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
            Ok(Self {
                events: event_socket(EVENTS_BYTES, &notice::GROUPS)?,
                route_events: event_socket(ROUTE_EVENTS_BYTES, &notice::ROUTE_GROUPS)?,
                requests: Netlink::open(NETLINK_ROUTE)?.strict()?,
                buffer: RefCell::new(vec![0; BUFFER_BYTES]),
            })
        })
    }

    /// The number of an open namespace, if it has one.
    pub fn nsid(&self, netns: &OwnedFd) -> io::Result<Option<Nsid>> {
        let mut nsid = None;
        let request = RouteNetlinkMessage::GetNsId(nsid_message(vec![fd(netns)]));
        let each = |payload: &[u8]| nsid = notice::nsid(payload);
        self.requests.ask_raw(request, 0, each)?;
        Ok(nsid)
    }

    /// Whether a number is that of a namespace that lives.
    pub fn is_alive(&self, nsid: Nsid) -> bool {
        let request = RouteNetlinkMessage::GetNsId(nsid_message(vec![NsidAttribute::Id(nsid)]));
        let answer = self.requests.ask_raw(request, 0, |_| {});
        // `rtnl_net_getid`: there is none with that number.
        !answer.is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT))
    }

    /// Gives an open namespace a number, or finds the one it has.
    pub fn assign(&self, netns: &OwnedFd) -> io::Result<Nsid> {
        if let Some(nsid) = self.nsid(netns)? {
            return Ok(nsid);
        }
        let message = nsid_message(vec![NsidAttribute::Id(-1), fd(netns)]);
        let request = RouteNetlinkMessage::NewNsId(message);
        self.requests.ask_raw(request, NLM_F_ACK, |_| {})?;
        self.nsid(netns)?
            .ok_or_else(|| io::Error::other("the kernel gave the namespace no nsid"))
    }

    /// Hands over what has been heard since the last call, without waiting.
    pub fn notices(&self, mut each: impl FnMut(Notice)) -> io::Result<()> {
        let mut buffer = self.buffer.borrow_mut();
        notice::receive(
            self.events.as_fd(),
            &mut buffer,
            |received| match received {
                Some((datagram, origin)) => messages(datagram)
                    .filter_map(|it| notice::decode(it.message_type(), it.payload(), origin))
                    .for_each(&mut each),
                None => each(Notice::Lost),
            },
        )
    }

    /// The numbers of the namespaces whose routes or rules have changed since the last call, and
    /// whether they may be more. Does not wait.
    pub fn rerouted(&self) -> io::Result<(BTreeSet<Nsid>, bool)> {
        let (mut origins, mut lost) = (BTreeSet::new(), false);
        let mut buffer = self.buffer.borrow_mut();
        let socket = self.route_events.as_fd();
        notice::receive(socket, &mut buffer, |received| match received {
            Some((_, origin)) => origins.extend(origin),
            None => lost = true,
        })?;
        Ok((origins, lost))
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

fn nsid_message(attributes: Vec<NsidAttribute>) -> NsidMessage {
    let mut message = NsidMessage::default();
    message.attributes = attributes;
    message
}

fn fd(netns: &OwnedFd) -> NsidAttribute {
    // A descriptor in use is never negative.
    NsidAttribute::Fd(netns.as_raw_fd().cast_unsigned())
}
