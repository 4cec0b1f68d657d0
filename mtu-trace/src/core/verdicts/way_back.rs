//! What can be done about a way out that is gone: an interface, an address or a route is put back.

use crate::base::text::quote;
use crate::core::track::Lack;
use crate::core::verdicts::remedy::enter;
use crate::model::event::Flow;
use crate::model::finding::Fix;
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{MAIN_TABLE, Route};

const GOES_ON: &str = "Connections that are still open then go on by themselves, within the time that \
                       their timeout has grown to; it helps UDP and QUIC as well.";

/// Puts back what the way out of a namespace lacks. Without a command where it is not known how.
pub(crate) fn regain(place: &NetnsRef, sent: &Flow, lack: Option<&Lack>) -> Fix {
    let label = place.label();
    let run = |words: Vec<String>| -> Vec<String> {
        let enter = enter(place);
        let words = words.iter();
        words
            .filter_map(|run| Some(format!("{} {run}", enter.as_ref()?)))
            .collect()
    };
    let (title, detail, commands) = match lack {
        Some(Lack::Interface(name)) => (
            format!("Bring interface {name} of {label} back"),
            format!(
                "Whatever had made it has taken it away, as a VPN client that has ended or an engine \
                 that has disconnected a network: start that again. {GOES_ON}"
            ),
            Vec::new(),
        ),
        Some(Lack::Up { name, route, .. }) => {
            let interface = quote(name);
            let mut words = vec![format!("ip link set dev {interface} up")];
            // The kernel has removed it with the interface.
            words.extend(route.as_deref().map(|route| add_route(route, name)));
            (
                format!("Set interface {name} of {label} up"),
                format!("Find out what has set it down. {GOES_ON}"),
                words,
            )
        }
        Some(Lack::Address(address, Some((_, name, prefix_len)))) => (
            format!("Give {address} back to {name} of {label}"),
            format!(
                "Find out what has taken it away, as a DHCP client whose lease has ended. Routes that \
                 went with it have to be added again. {GOES_ON}"
            ),
            vec![format!(
                "ip address add {address}/{prefix_len} dev {}",
                quote(name)
            )],
        ),
        Some(Lack::Route(route, name)) => (
            format!(
                "Add the route to {} by {name} in {label} again",
                route.network()
            ),
            format!("Find out what has removed it. {GOES_ON}"),
            vec![add_route(route, name)],
        ),
        Some(Lack::Address(..) | Lack::AnyRoute | Lack::Refused) | None => (
            format!("Look at the routes of {label}"),
            "The command says which route would be taken, or why none is.".to_owned(),
            vec![format!(
                "ip route get {} from {}",
                sent.destination.ip(),
                sent.source.ip()
            )],
        ),
    };
    Fix {
        title,
        detail,
        commands: run(commands),
    }
}

/// The command that adds a route as it was.
fn add_route(route: &Route, interface: &str) -> String {
    let family = if route.destination.address.is_ipv6() {
        "ip -6"
    } else {
        "ip"
    };
    let gateway = route.hops.iter().find_map(|hop| hop.gateway);
    let via = gateway.map_or_else(String::new, |gateway| format!(" via {gateway}"));
    let table = match route.table {
        MAIN_TABLE => String::new(),
        other => format!(" table {other}"),
    };
    let metric = match route.metric {
        0 => String::new(),
        metric => format!(" metric {metric}"),
    };
    let (network, interface) = (route.network(), quote(interface));
    format!("{family} route add {network}{via} dev {interface}{table}{metric}")
}
