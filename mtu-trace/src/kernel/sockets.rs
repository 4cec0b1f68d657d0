//! How sockets stand, asked of the kernel (`sock_diag(7)`), in whatever namespace they are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::{MemInfo, Nla, TcpInfo};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, Timer,
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::base::netlink::Netlink;
use crate::host::netns::NetnsFile;
use crate::model::event::{Flow, Sample, Socket, TCP, TcpState};
use crate::model::network::NetnsId;

/// Asks for each of the given sockets; those that are gone are left out. `open` finds a namespace.
pub fn sample(
    flows: impl IntoIterator<Item = Flow>,
    mut open: impl FnMut(NetnsId) -> Option<NetnsFile>,
) -> Vec<Sample> {
    let mut by_netns: BTreeMap<NetnsId, Vec<Flow>> = BTreeMap::new();
    for flow in flows {
        by_netns.entry(flow.netns).or_default().push(flow);
    }
    let mut samples = Vec::new();
    for (netns, flows) in by_netns {
        let Some(file) = open(netns) else {
            continue;
        };
        match file.run(|| ask(&flows)) {
            Ok(Ok(found)) => samples.extend(found),
            Ok(Err(error)) | Err(error) => {
                log::debug!("no sock_diag in netns {}: {error}", file.inode);
            }
        }
    }
    samples
}

fn ask(flows: &[Flow]) -> io::Result<Vec<Sample>> {
    let netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
    let mut samples = Vec::new();
    for flow in flows {
        // A socket that is gone is an error (ENOENT), and no news.
        for answer in netlink.ask(request(flow), NLM_F_ACK).unwrap_or_default() {
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

/// The connections of the namespace of this thread, which is `netns`: those whose handshake is done
/// and which are not merely waiting for late packets. A port that is listened on here did not open the
/// connection; any other may have been listened on.
///
/// # Errors
///
/// Whatever the socket says.
pub fn all(netns: NetnsId) -> io::Result<Vec<Socket>> {
    let netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
    let mut sockets = Vec::new();
    let mut listening = BTreeSet::new();
    for (family, any) in [
        (AF_INET, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        (AF_INET6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ] {
        let request = SockDiagMessage::InetRequest(InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::ESTABLISHED
                | StateFlags::FIN_WAIT1
                | StateFlags::CLOSE_WAIT
                | StateFlags::LAST_ACK
                | StateFlags::CLOSING
                | StateFlags::LISTEN,
            socket_id: SocketId {
                source_port: 0,
                destination_port: 0,
                source_address: any,
                destination_address: any,
                interface_id: 0,
                cookie: [0xff; 8],
            },
        });
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
            sockets.push(Socket {
                flow: Flow {
                    netns,
                    protocol: TCP,
                    source: address(id.source_address, id.source_port),
                    destination: address(id.destination_address, id.destination_port),
                },
                opened_ns: 0,
                isn: None,
                active: None,
            });
        }
    }
    for socket in &mut sockets {
        let listened = listening.contains(&socket.flow.source.port());
        socket.active = listened.then_some(false);
    }
    Ok(sockets)
}

fn request(flow: &Flow) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family: match flow.source {
            SocketAddr::V4(_) => AF_INET,
            SocketAddr::V6(_) => AF_INET6,
        },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO | ExtensionFlags::SKMEMINFO,
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: flow.source.port(),
            destination_port: flow.destination.port(),
            source_address: flow.source.ip(),
            destination_address: flow.destination.ip(),
            interface_id: 0,
            // INET_DIAG_NOCOOKIE: any socket with these addresses.
            cookie: [0xff; 8],
        },
    })
}

/// `None` for a socket that says nothing about TCP, such as one in TIME_WAIT.
fn to_sample(flow: Flow, response: &InetResponse) -> Option<Sample> {
    let find = |nla: &Nla| match nla {
        Nla::TcpInfo(info) => Some(info.clone()),
        _ => None,
    };
    let info: TcpInfo = response.nlas.iter().find_map(find)?;
    let memory = response.nlas.iter().find_map(|nla| match nla {
        Nla::MemInfo(memory) => Some(memory),
        _ => None,
    });
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
            .map_or(0, |memory: &MemInfo| memory.receive_queue),
        unsent_bytes: info.notsent_bytes,
        outstanding_bytes: response
            .header
            .send_queue
            .saturating_sub(info.notsent_bytes),
        window_closed: matches!(response.header.timer, Some(Timer::Probe(_))),
    })
}
