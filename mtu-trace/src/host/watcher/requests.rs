//! Questions to route netlink, answered by the bytes of each message.
//!
//! Unlike [`crate::base::netlink`], this hands over payloads undecoded: whoever reads them picks what it
//! understands, so that one odd link or route can neither fail nor hide others.

use std::{
    cell::{Cell, RefCell},
    io,
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkMessage, parse_i32,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Room for one datagram of a dump; the kernel makes none larger than this.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;
/// How often a dump is repeated that was interrupted by a change, before it is taken as it is.
const DUMP_TRIES: u32 = 3;

/// A socket to ask by. It keeps the namespace it was opened in alive.
pub(crate) struct Requests {
    socket: Socket,
    sequence: Cell<u32>,
    buffer: RefCell<Vec<u8>>,
}

impl Requests {
    /// Opens a socket in the namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// Whatever `socket(2)`, `bind(2)`, `connect(2)` or `setsockopt(2)` say.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Without strict checking the kernel ignores what it does not know, such as the target of an
        // address dump, and answers for the wrong namespace.
        socket.set_netlink_get_strict_chk(true)?;
        Ok(Self {
            socket,
            sequence: Cell::new(0),
            buffer: RefCell::new(vec![0; BUFFER_BYTES]),
        })
    }

    /// Sends a dump request and hands over the payload of every message of the answer. `start` is
    /// called before the first and whenever the answer starts over because of a change.
    ///
    /// # Errors
    ///
    /// As with [`Requests::ask`].
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

    /// Sends one request and hands over the payloads of the answer. Returns whether a dump was
    /// interrupted by a change.
    ///
    /// # Errors
    ///
    /// The kernel's answer, if that is an error, or what the socket says.
    pub fn ask(
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
        self.socket.send(&bytes, 0)?;

        let mut buffer = self.buffer.borrow_mut();
        let mut interrupted = false;
        loop {
            let received = self.socket.recv(&mut &mut buffer[..], 0)?;
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
