//! How sockets stand, asked of the kernel (`sock_diag(7)`), in whatever namespace they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fs, io};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::{Nla, TcpInfo};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, Timer,
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::base::netlink::Netlink;
use crate::host::watcher::Watcher;
use crate::model::event::{Flow, Sample, Socket, TCP, TcpState};
use crate::model::network::NetnsId;

/// The kernel's smallest retransmission timeout (`TCP_RTO_MIN`), ms.
const RTO_MIN_MS: u32 = 200;

/// Asks for each of the given sockets; those that are gone are left out.
pub fn sample(flows: impl Iterator<Item = Flow>, watcher: &Watcher) -> Vec<Sample> {
    let mut by_netns: BTreeMap<NetnsId, Vec<Flow>> = BTreeMap::new();
    for flow in flows {
        by_netns.entry(flow.netns).or_default().push(flow);
    }
    let asked = by_netns.into_iter();
    asked
        .flat_map(|(netns, flows)| inside(netns, watcher, || ask(&flows)))
        .collect()
}

/// What is found in a namespace, nothing if it cannot be entered or asked.
fn inside<T: Send>(
    netns: NetnsId,
    watcher: &Watcher,
    find: impl FnOnce() -> io::Result<Vec<T>> + Send,
) -> Vec<T> {
    let Ok(file) = watcher.open(netns) else {
        return Vec::new();
    };
    file.run(find).flatten().unwrap_or_else(|error| {
        log::debug!("no sock_diag in netns {}: {error}", file.inode);
        Vec::new()
    })
}

fn ask(flows: &[Flow]) -> io::Result<Vec<Sample>> {
    let netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
    let mut samples = Vec::new();
    for flow in flows {
        let ends = [flow.source, flow.destination];
        let extensions = ExtensionFlags::INFO | ExtensionFlags::SKMEMINFO;
        let request = request(ends, StateFlags::all(), extensions);
        // A socket that is gone is an error (ENOENT), and no news.
        for answer in netlink.ask(request, NLM_F_ACK).unwrap_or_default() {
            let SockDiagMessage::InetResponse(response) = answer else {
                continue;
            };
            // With the connection gone the kernel answers with the listener of its port.
            if TcpState(response.header.state.into()) == TcpState::LISTEN {
                continue;
            }
            samples.extend(to_sample(*flow, &response));
        }
    }
    Ok(samples)
}

/// The connections of a namespace: those whose handshake is done and which are not merely waiting for
/// late packets. A port that is listened on here did not open the connection; any other may have been
/// listened on.
pub fn all(netns: NetnsId, watcher: &Watcher) -> Vec<OpenSocket> {
    inside(netns, watcher, || list(netns))
}

/// A socket whose handshake was not seen.
#[derive(Clone, Copy, Debug)]
pub struct OpenSocket {
    /// Addresses of its ends, the own one first.
    pub socket: Socket,
    /// Whether something of it waits: to be acknowledged, to be sent, or to be read.
    pub is_busy: bool,
}

fn list(netns: NetnsId) -> io::Result<Vec<OpenSocket>> {
    if !has_tcp() {
        return Ok(Vec::new());
    }
    let netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
    let mut sockets = Vec::new();
    let mut listening = BTreeSet::new();
    for any in [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ] {
        let ends = [SocketAddr::new(any, 0); 2];
        let states = StateFlags::ESTABLISHED
            | StateFlags::FIN_WAIT1
            | StateFlags::CLOSE_WAIT
            | StateFlags::LAST_ACK
            | StateFlags::CLOSING
            | StateFlags::LISTEN;
        let request = request(ends, states, ExtensionFlags::empty());
        for answer in netlink.ask(request, NLM_F_DUMP)? {
            let SockDiagMessage::InetResponse(response) = answer else {
                continue;
            };
            let id = &response.header.socket_id;
            if TcpState(response.header.state.into()) == TcpState::LISTEN {
                listening.insert(id.source_port);
                continue;
            }
            // An IPv6 socket may have IPv4 addresses; packets do not show that.
            let address = |ip: IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
            let socket = Socket {
                flow: Flow {
                    netns,
                    protocol: TCP,
                    source: address(id.source_address, id.source_port),
                    destination: address(id.destination_address, id.destination_port),
                },
                opened_ns: 0,
                isn: None,
                active: None,
            };
            let is_busy = response.header.send_queue > 0 || response.header.recv_queue > 0;
            sockets.push(OpenSocket { socket, is_busy });
        }
    }
    for OpenSocket { socket, .. } in &mut sockets {
        let listened = listening.contains(&socket.flow.source.port());
        socket.active = listened.then_some(false);
    }
    Ok(sockets)
}

/// A question about sockets with these ends, source first.
fn request(
    [source, destination]: [SocketAddr; 2],
    states: StateFlags,
    extensions: ExtensionFlags,
) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family: match source {
            SocketAddr::V4(_) => AF_INET,
            SocketAddr::V6(_) => AF_INET6,
        },
        protocol: IPPROTO_TCP,
        extensions,
        states,
        socket_id: SocketId {
            source_port: source.port(),
            destination_port: destination.port(),
            source_address: source.ip(),
            destination_address: destination.ip(),
            interface_id: 0,
            // INET_DIAG_NOCOOKIE: any socket with these addresses.
            cookie: [0xff; 8],
        },
    })
}

/// Whether the namespace of this thread has TCP sockets. A dump goes through the hash table of the
/// whole host for each namespace: most have nothing in it.
fn has_tcp() -> bool {
    let used = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut counts = text.lines().filter_map(|line| {
            let numbers = line.strip_prefix(name)?;
            numbers.split_whitespace().nth(1)
        });
        counts.any(|count| count != "0")
    };
    used("/proc/thread-self/net/sockstat", "TCP:")
        || used("/proc/thread-self/net/sockstat6", "TCP6:")
}

/// `None` for a socket that says nothing about TCP, such as one in TIME_WAIT.
fn to_sample(flow: Flow, response: &InetResponse) -> Option<Sample> {
    let info = response.nlas.iter().find_map(|nla| match nla {
        Nla::TcpInfo(info) => Some(info),
        _ => None,
    })?;
    let memory = response.nlas.iter().find_map(|nla| match nla {
        Nla::MemInfo(memory) => Some(memory),
        _ => None,
    });
    let probes = matches!(response.header.timer, Some(Timer::Probe(_)));
    // The timer of zero-window probes also runs where nothing goes out: only the window tells.
    let has_room = info.snd_wnd >= info.snd_mss;
    Some(Sample {
        flow,
        state: TcpState(info.state.into()),
        timeouts: info.retransmits.into(),
        backoff: info.backoff.into(),
        mss: info.snd_mss,
        pmtu_bytes: info.pmtu,
        unacked: info.unacked,
        sacked: info.sacked,
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
        // What can be read now is no gap's; the backlog is not looked at yet.
        held_bytes: memory
            .filter(|memory| response.header.recv_queue == 0 && memory.backlog_queue_length == 0)
            .map_or(0, |memory| memory.receive_queue),
        unsent_bytes: info.notsent_bytes,
        outstanding_bytes: response
            .header
            .send_queue
            .saturating_sub(info.notsent_bytes),
        window_closed: probes && !has_room,
        is_held_up: probes && has_room,
        waited_ms: waited_ms(info),
        duplicates: info.dsack_dups,
    })
}

/// For how long a sender has waited for an acknowledgement at most, ms; `None` while its timer has not
/// run out. It has been silent for as long (`tcpi_last_ack_recv`), unless it sent nothing before; it was
/// busy sending for as long (`tcpi_busy_time`), unless it was so before; and the timeout that runs is twice
/// the last, which bounds all of them.
fn waited_ms(info: &TcpInfo) -> Option<u32> {
    if info.unacked == 0 || info.backoff == 0 {
        return None;
    }
    let ms = |us: u64| u32::try_from(us / 1000).unwrap_or(u32::MAX);
    let timeout_ms = ms(info.rto.into());
    // One that has reached its highest value is not doubled any more.
    let doubled_ms = RTO_MIN_MS.saturating_mul(2_u32.saturating_pow(info.backoff.into()));
    let is_doubled = timeout_ms >= doubled_ms;
    let bounds = [
        Some(info.last_ack_recv),
        Some(ms(info.busy_time)).filter(|&busy| busy > 0),
        Some(timeout_ms.saturating_mul(2)).filter(|_| is_doubled),
    ];
    bounds.into_iter().flatten().min()
}
