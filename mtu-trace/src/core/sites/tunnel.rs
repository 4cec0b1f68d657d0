//! Tunnels: where packets are wrapped in others, and where those are too long.

use crate::core::sites::output::{OUTPUT, OUTPUT_FUNCTIONS};
use crate::core::sites::site::{Crossing, Function, Limit, Site, Tells, Wrapping, is_wrapped};
use crate::model::network::{LinkKind, OuterDf};

/// A tunnel that is a port of a bridge: it makes the message of the packet itself
/// (`skb_tunnel_check_pmtu`), which is no drop.
pub static BRIDGED_TUNNEL: Site = Site {
    name: "bridged-tunnel",
    functions: &[Function::any(&["skb_tunnel_check_pmtu"])],
    limit: Limit::TunnelRoute,
    tells: Tells::SenderForReceiver,
    expected: |crossing| does(crossing, TunnelOutcome::Replies),
    ..OUTPUT
};

/// A UDP tunnel that is no port lowers the path MTU of its node's own route, which IPv6 heeds for what it
/// forwards and IPv4 does not.
pub static ROUTED_TUNNEL: Site = Site {
    name: "routed-tunnel",
    functions: &[Function::any(&["ip6_fragment"])],
    limit: Limit::TunnelRoute,
    expected: |crossing| does(crossing, TunnelOutcome::LowersRoute),
    ..OUTPUT
};

/// The way out of a tunnel's packets, which may not be cut: only the tunnel's own node is told, since
/// it has sent them.
pub static TUNNEL_UNDERLAY: Site = Site {
    name: "tunnel-underlay",
    functions: &[],
    shared: Some((OUTPUT_FUNCTIONS, is_wrapped)),
    tells: Tells::Tunnel,
    expected: |crossing| match crossing {
        Crossing::SendWrapped(wrapping) => outcome(wrapping) == TunnelOutcome::DropsOuter,
        _ => false,
    },
    ..OUTPUT
};

/// A tunnel's packets without DF are cut into pieces, by its node or by a router: nothing dies, so no
/// drop is ever at this site.
pub static CUT: Site = Site {
    name: "cut",
    functions: &[
        Function::ipv4(&["ip_fragment"]),
        Function::ipv6(&["ip6_fragment"]),
    ],
    expected: |crossing| {
        matches!(crossing, Crossing::Router { cuts: true }) || does(crossing, TunnelOutcome::Cuts)
    },
    ..OUTPUT
};

/// What a tunnel does with a packet that its outer route has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelOutcome {
    /// It makes the packet into a message to its sender.
    Replies,
    /// It drops it and tells nobody.
    Drops,
    /// It cuts what it has made of it.
    Cuts,
    /// It sends what it has made of it, which dies.
    DropsOuter,
    /// It lowers the MTU of the packet's route, and what comes next dies there.
    LowersRoute,
    /// It drops it and tells the sender.
    Tells,
}

/// Whether a packet goes into a tunnel that does this with it.
pub fn does(crossing: &Crossing<'_>, wanted: TunnelOutcome) -> bool {
    matches!(crossing, Crossing::Wrap(wrapping) if outcome(wrapping) == wanted)
}

fn outcome(wrapping: &Wrapping<'_>) -> TunnelOutcome {
    let link = wrapping.link;
    // They look only whether they are ports (`skb_tunnel_check_pmtu`).
    let (replies, looks_no_further) = match link.kind {
        LinkKind::Vxlan | LinkKind::Geneve => (link.master.is_some(), true),
        LinkKind::Bareudp => (false, true),
        _ => (false, false),
    };
    if replies {
        TunnelOutcome::Replies
    } else if wrapping.tunnel.df == OuterDf::Unset && !wrapping.outer_ipv6 {
        TunnelOutcome::Cuts
    } else if looks_no_further && !wrapping.ipv6 {
        TunnelOutcome::DropsOuter
    } else if looks_no_further {
        TunnelOutcome::LowersRoute
    } else if link.master.is_some() {
        TunnelOutcome::Drops
    } else {
        TunnelOutcome::Tells
    }
}
