//! How sockets stand, asked of the kernel (`sock_diag(7)`), in whatever namespace they are.

use std::{collections::BTreeMap, io, net::SocketAddr};

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{
        ExtensionFlags, InetRequest, SocketId, StateFlags,
        nlas::{Nla, TcpInfo},
    },
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::{
    event::{Flow, Sample, TcpState},
    netlink::Netlink,
    topology::{NetnsFile, NetnsId},
};

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
    let mut netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
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
            let info = response.nlas.iter().find_map(|nla| match nla {
                Nla::TcpInfo(info) => Some(info),
                _ => None,
            });
            if let Some(info) = info {
                samples.push(to_sample(*flow, info));
            }
        }
    }
    Ok(samples)
}

fn request(flow: &Flow) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family: match flow.source {
            SocketAddr::V4(_) => AF_INET,
            SocketAddr::V6(_) => AF_INET6,
        },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
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

fn to_sample(flow: Flow, info: &TcpInfo) -> Sample {
    Sample {
        flow,
        state: TcpState(info.state.into()),
        timeouts: info.retransmits.into(),
        backoff: info.backoff.into(),
        mss: info.snd_mss,
        pmtu_bytes: info.pmtu,
        unacked: info.unacked,
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
    }
}
