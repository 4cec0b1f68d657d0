//! Questions to the kernel over netlink, in the namespace of the calling thread, and the attributes of
//! its answers.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    NLA_HEADER_SIZE, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, NetlinkBuffer, NetlinkDeserializable, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable, NlaBuffer, NlasIterator, parse_i32,
};
use netlink_sys::{Socket, SocketAddr};

/// Room for one datagram of a dump, bytes; the kernel makes none larger than this.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;
/// How often a dump is repeated that was interrupted by a change, before it is taken as it is. A
/// choice: where changes never end, an answer that is off by one is better than none.
const DUMP_TRIES: u32 = 3;

/// A netlink socket of one protocol, such as `NETLINK_ROUTE`.
///
/// It belongs to the namespace of the thread that opened it and keeps that namespace alive, so it
/// must be short-lived outside the tracer's own namespace.
pub struct Netlink {
    socket: Socket,
    sequence: Cell<u32>,
    buffer: RefCell<Vec<u8>>,
}

impl Netlink {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// Whatever `socket(2)`, `bind(2)` or `connect(2)` say.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: Cell::new(0),
            buffer: RefCell::new(vec![0; BUFFER_BYTES]),
        })
    }

    /// Has the kernel check requests strictly: otherwise it ignores what it does not know, such as the
    /// target of an address dump, and answers for the wrong namespace.
    ///
    /// # Errors
    ///
    /// Whatever `setsockopt(2)` says.
    pub fn strict(self) -> io::Result<Self> {
        self.socket.set_netlink_get_strict_chk(true)?;
        Ok(self)
    }

    /// Sends one message with the given flags besides `NLM_F_REQUEST` and returns every message of
    /// the answer, decoded; an acknowledgement alone is an empty answer.
    ///
    /// # Errors
    ///
    /// The kernel's answer, if that is an error, or what the socket says.
    pub fn ask<M>(&self, message: M, flags: u16) -> io::Result<Vec<M>>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
        NetlinkPayload<M>: From<M>,
    {
        let mut answer = Vec::new();
        self.exchange(message, flags, |message| {
            match NetlinkMessage::<M>::deserialize(message.into_inner()) {
                Ok(message) => {
                    if let NetlinkPayload::InnerMessage(inner) = message.payload {
                        answer.push(inner);
                    }
                }
                // One entry that the library does not know must not hide the others.
                Err(error) => log::debug!("netlink message left out: {error}"),
            }
        })?;
        Ok(answer)
    }

    /// Sends one request and hands over the payloads of the answer undecoded: whoever reads them picks
    /// what it understands, so that one odd link or route can neither fail nor hide others.
    ///
    /// # Errors
    ///
    /// As with [`Netlink::ask`].
    pub fn ask_raw<M>(&self, request: M, flags: u16, mut each: impl FnMut(&[u8])) -> io::Result<()>
    where
        M: NetlinkSerializable,
        NetlinkPayload<M>: From<M>,
    {
        self.exchange(request, flags, |message| each(message.payload()))?;
        Ok(())
    }

    /// Sends a dump request and hands over the payload of every message of the answer, as
    /// [`Netlink::ask_raw`] does. What was collected is dropped where the answer starts over because of a
    /// change.
    ///
    /// # Errors
    ///
    /// As with [`Netlink::ask`].
    pub fn dump<M, C>(&self, request: &M, mut each: impl FnMut(&mut C, &[u8])) -> io::Result<C>
    where
        C: Default,
        M: NetlinkSerializable + Clone,
        NetlinkPayload<M>: From<M>,
    {
        for last in (0..DUMP_TRIES).rev() {
            let mut collected = C::default();
            let change = self.exchange(request.clone(), NLM_F_DUMP, |message| {
                each(&mut collected, message.payload());
            })?;
            if change == Change::None || last == 0 {
                return Ok(collected);
            }
        }
        Ok(C::default())
    }

    /// Sends one request and hands over the messages of the answer.
    fn exchange<M>(
        &self,
        message: M,
        flags: u16,
        mut each: impl FnMut(NetlinkBuffer<&[u8]>),
    ) -> io::Result<Change>
    where
        M: NetlinkSerializable,
        NetlinkPayload<M>: From<M>,
    {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let mut buffer = self.buffer.borrow_mut();
        let mut change = Change::None;
        loop {
            let received = self.socket.recv(&mut &mut buffer[..], 0)?;
            for message in messages(buffer.get(..received).unwrap_or_default()) {
                if message.sequence_number() != sequence {
                    continue;
                }
                if message.flags() & NLM_F_DUMP_INTR != 0 {
                    change = Change::Interrupted;
                }
                match message.message_type() {
                    // Both begin with an error number, 0 or negative.
                    NLMSG_DONE | NLMSG_ERROR => {
                        let code = message.payload().get(..4).map_or(Ok(0), parse_i32);
                        return match code {
                            Ok(0) => Ok(change),
                            Ok(code) => Err(io::Error::from_raw_os_error(-code)),
                            Err(error) => Err(io::Error::other(error)),
                        };
                    }
                    _ => each(message),
                }
                if flags & (NLM_F_DUMP | NLM_F_ACK) == 0 {
                    return Ok(change);
                }
            }
        }
    }
}

/// Whether something changed while the kernel answered, so that a dump may be inconsistent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Interrupted,
}

/// The messages of a datagram, up to the first that is broken.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = NetlinkBuffer::new_checked(rest).ok()?.length() as usize;
        let message = NetlinkBuffer::new(rest.get(..length)?);
        // Messages are aligned to four bytes (`NLMSG_ALIGN`).
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes of a message, up to the first that is broken.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

/// The value of the first attribute of a kind.
pub(crate) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    let found = attributes(bytes).find(|nla| nla.kind() == kind)?;
    let length = usize::from(found.length());
    found.into_inner().get(NLA_HEADER_SIZE..length)
}

/// A string of the kernel's without its terminating zero.
pub(crate) fn string(value: &[u8]) -> &[u8] {
    value.strip_suffix(&[0]).unwrap_or(value)
}

/// An address by its length; `None` if it has neither IPv4's nor IPv6's.
pub(crate) fn ip_address(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from))
        .ok()
}

/// The address of one host or router; `None` for "any", which the kernel tells for "none", and for a
/// group.
pub(crate) fn unicast(value: &[u8]) -> Option<IpAddr> {
    ip_address(value).filter(|address| !address.is_unspecified() && !address.is_multicast())
}
