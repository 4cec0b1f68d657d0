//! Handshakes and ends of TCP sockets. Handshakes go into a map, which lookups read; only the end of
//! a socket that is watched makes a record.

use mtu_trace_common::record::{ClosedRecord, kind};

use crate::kernel::decode::{DecodeError, Decoded, Decoder, flow, whole};
use crate::kernel::hooks::{RecordFormat, TraceHook, at_entry, tracepoint};
use crate::model::event::{Closed, EventKind, TcpState, hook};
use crate::model::network::Topology;

/// `sock:inet_sock_set_state`, or `tcp_set_state` that leads to it.
pub const STATES: TraceHook = TraceHook {
    name: hook::STATES,
    attachments: at_entry!(
        "tcp_set_state",
        "tcp_set_state",
        after tracepoint(&["inet_sock_set_state"], "inet_sock_set_state")
    ),
    shows: "handshakes and ends of connections, with their initial sequence numbers",
    lost: "connections are joined by addresses only, not behind a NAT that changes ports",
    optional: false,
    record: Some(RecordFormat {
        kind: kind::CLOSED,
        decode,
    }),
};

fn decode(_: &mut Decoder, bytes: &[u8], _: &Topology) -> Result<Decoded, DecodeError> {
    let record: &ClosedRecord = whole(kind::CLOSED, bytes)?;
    let closed = Closed {
        flow: flow(&record.key),
        last_state: TcpState(record.last_state),
        error: record.error,
        bytes_acked: record.bytes_acked,
        bytes_received: record.bytes_received,
        unacknowledged: record.unacknowledged,
    };
    Ok(EventKind::Closed(closed).into())
}
