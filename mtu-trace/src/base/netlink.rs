//! One netlink question and its whole answer, in the namespace of the calling thread.

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkDeserializable, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

/// Room for one datagram of a dump; the kernel makes none larger than this.
const BUFFER_BYTES: usize = 64 * 1024;

/// A netlink socket of one protocol, such as `NETLINK_ROUTE`.
///
/// It belongs to the namespace of the thread that opened it and keeps that namespace alive, so it
/// must be short-lived outside the tracer's own namespace.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
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
            sequence: 0,
        })
    }

    /// Sends one message with the given flags besides `NLM_F_REQUEST` and returns every message of
    /// the answer; an acknowledgement is an empty answer.
    ///
    /// # Errors
    ///
    /// The kernel's answer, if that is an error, or what the socket says.
    pub fn ask<M>(&mut self, message: M, flags: u16) -> io::Result<Vec<M>>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
        NetlinkPayload<M>: From<M>,
    {
        self.sequence += 1;
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let mut answer = Vec::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let received = self.socket.recv(&mut &mut buffer[..], 0)?;
            let mut rest = &buffer[..received];
            while !rest.is_empty() {
                let header = NetlinkBuffer::new_checked(rest)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                // Lengths are rounded up to four bytes between messages (`NLMSG_ALIGN`).
                let length = (header.length() as usize).next_multiple_of(4);
                let (one, others) = rest.split_at(length.min(rest.len()));
                rest = others;
                let message = match NetlinkMessage::<M>::deserialize(one) {
                    Ok(message) => message,
                    // One entry that the library does not know must not hide the others.
                    Err(error) => {
                        log::debug!("netlink message left out: {error}");
                        continue;
                    }
                };
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => {
                        answer.push(inner);
                        if flags & NLM_F_DUMP != NLM_F_DUMP {
                            return Ok(answer);
                        }
                    }
                    NetlinkPayload::Error(error) => {
                        return match error.code {
                            None => Ok(answer),
                            Some(_) => Err(error.to_io()),
                        };
                    }
                    NetlinkPayload::Done(_) => return Ok(answer),
                    _ => {}
                }
            }
        }
    }
}
