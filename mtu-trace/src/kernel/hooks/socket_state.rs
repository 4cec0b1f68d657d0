//! Handshakes and ends of TCP sockets. Handshakes go into a map, which lookups read; only the end of
//! a socket that is watched makes a record.

use super::*;

/// `sock:inet_sock_set_state`, or `tcp_set_state` that leads to it.
pub const STATES: TraceHook = TraceHook {
    name: hook::STATES,
    attachments: at_entry!(after "inet_sock_set_state", "tcp_set_state" at "tcp_set_state"),
    shows: "handshakes and ends of connections, with their initial sequence numbers",
    lost: "connections are joined by addresses only, not behind a NAT that changes ports",
    optional: false,
    record: records!(kind::CLOSED, decode),
};

fn decode(_: &Decoder, record: &record::ClosedRecord, _: &Topology) -> Decoded {
    EventKind::Closed(closed(flow(&record.key), &record.end)).into()
}
