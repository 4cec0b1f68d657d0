//! What the kernel says of its own accord: notifications of route netlink from any namespace that
//! has a number in the hub.
//!
//! They are taken as hints only. The parts that matter are where something changed and what kind of
//! thing it was; what is there now is then asked for, because a notification gives other ends as
//! numbers of the namespace it comes from, and because the state at the time of asking is newer.

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{Parseable, parse_i32, parse_u32};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use crate::base::netlink::attribute;
use crate::host::watcher::hub::Nsid;

/// `RTNLGRP_*` of `linux/rtnetlink.h`: links, addresses, nsids, and forwarding switched on or off.
pub(crate) const GROUPS: [u32; 6] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_NSID,
    libc::RTNLGRP_IPV4_NETCONF,
    libc::RTNLGRP_IPV6_NETCONF,
];

/// The same for routes and rules.
pub(crate) const ROUTE_GROUPS: [u32; 4] = [
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_RULE,
];

/// `RTM_NEWNETCONF` and `RTM_DELNETCONF` of `linux/rtnetlink.h`.
const RTM_NEWNETCONF: u16 = 80;
const RTM_DELNETCONF: u16 = 81;
/// Of `linux/netconf.h`: the attribute, and what stands for devices yet to come.
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_IFINDEX_DEFAULT: i32 = -2;

/// Something that the kernel says has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Something changed in the namespace with a number.
    Changed(Nsid, What),
    /// A namespace got this number. Whoever had it before is gone.
    Given(Nsid),
    /// The namespace with this number is gone, and the number free for another.
    Died(Nsid),
    /// There was more than the socket had room for: anything may have happened.
    Lost,
}

impl Notice {
    /// Whether a number may since belong to another namespace or to none.
    pub fn ends(self, number: Nsid) -> bool {
        match self {
            Self::Changed(..) => false,
            Self::Given(nsid) | Self::Died(nsid) => nsid == number,
            Self::Lost => true,
        }
    }
}

/// What changed in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// The link with this index appeared, changed or went.
    Link(u32),
    /// So did addresses of the link with this index.
    Addresses(u32),
    /// Something that concerns all links.
    All,
}

/// Hands over every datagram that is there with its origin, or `None` where some were lost. Does not
/// wait.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    mut each: impl FnMut(Option<(&[u8], Option<Nsid>)>),
) -> io::Result<()> {
    loop {
        match receive_one(socket, buffer) {
            Ok((length, origin)) => each(buffer.get(..length).map(|datagram| (datagram, origin))),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(()),
                Some(libc::EINTR) => {}
                Some(libc::ENOBUFS) => each(None),
                _ => return Err(error),
            },
        }
    }
}

/// The namespace number in an answer to or a notification about numbers.
pub(crate) fn nsid(payload: &[u8]) -> Option<Nsid> {
    let attributes = NsidMessage::parse(payload).ok()?.attributes;
    attributes.iter().find_map(|attribute| match attribute {
        // -1 is "has none".
        NsidAttribute::Id(nsid) if *nsid >= 0 => Some(*nsid),
        _ => None,
    })
}

/// What a message from a namespace says; from `None`, the hub itself.
pub(crate) fn decode(kind: u16, payload: &[u8], origin: Option<Nsid>) -> Option<Notice> {
    let Some(nsid) = origin else {
        return match kind {
            libc::RTM_NEWNSID => nsid(payload).map(Notice::Given),
            libc::RTM_DELNSID => nsid(payload).map(Notice::Died),
            _ => None,
        };
    };
    // `ifi_index` of `struct ifinfomsg` and `ifa_index` of `struct ifaddrmsg`.
    let index = || parse_u32(payload.get(4..8)?).ok();
    let what = match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => What::Link(index()?),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => What::Addresses(index()?),
        RTM_NEWNETCONF | RTM_DELNETCONF => {
            // `struct netconfmsg` is one byte, padded to four.
            let index = attribute(payload.get(4..)?, NETCONFA_IFINDEX)?;
            match parse_i32(index).ok()? {
                NETCONFA_IFINDEX_DEFAULT => return None,
                // Negative for all links.
                index => u32::try_from(index).map_or(What::All, What::Link),
            }
        }
        // Numbers that others have for each other are of no interest.
        _ => return None,
    };
    Some(Notice::Changed(nsid, what))
}

/// One datagram, with the number of the namespace it comes from; `None` is the hub itself.
///
/// rustix has no access to control messages of netlink.
fn receive_one(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<Nsid>)> {
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // Control messages are aligned like their header; this has room for one with a number, and some.
    let mut control = [const { MaybeUninit::<libc::cmsghdr>::zeroed() }; 8];
    // SAFETY: all zeroes is a valid `msghdr`: null pointers and zero lengths.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: `header` points to a buffer and a control area that outlive the call, with their
    // lengths.
    let received =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;

    // SAFETY: `header` is as the kernel left it, its control area is still there, and the macros
    // stay within its length.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !message.is_null() {
        // SAFETY: a non-null result of `CMSG_FIRSTHDR` or `CMSG_NXTHDR` is a whole header.
        let found = unsafe { &*message };
        if found.cmsg_level == libc::SOL_NETLINK && found.cmsg_type == libc::NETLINK_LISTEN_ALL_NSID
        {
            // SAFETY: the kernel puts an `int` there (`netlink_cmsg_listen_all_nsid`).
            let nsid = unsafe { libc::CMSG_DATA(message).cast::<Nsid>().read_unaligned() };
            return Ok((received, Some(nsid)));
        }
        // SAFETY: as for `CMSG_FIRSTHDR`.
        message = unsafe { libc::CMSG_NXTHDR(&raw const header, message) };
    }
    Ok((received, None))
}
