//! Packets that are dropped for another reason than their length: which, where, and by what.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::address::Family;
use lab::firewall::{self, Hook};
use lab::topology::{Nested, NestedLab, Switched};
use lab::traffic::{connect, push};

use super::{UPLOAD, finds, hangs, hung, once, scenario, traffic};
use crate::scenario::{DropPlace, Scenario, Traffic, Want};

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "Q1",
        "a rule drops the SYN",
        finds(
            Want::new("handshake-timeout", "warning").dropped(
                DropPlace::by_rule(
                    "host",
                    "FORWARD",
                    "table inet lab-port, chain forward, handle ",
                )
                .carrying("syn"),
            ),
        ),
        || {
            let lab = Nested::default().build()?;
            firewall::drop_port(lab.host()?, Hook::Forward, PORT)?;
            unanswered(lab)
        },
    ),
    scenario(
        "Q2",
        "a rule drops the answer to the SYN",
        finds(
            Want::new("handshake-timeout", "warning").dropped(
                DropPlace::by_rule("out", "FORWARD", "table ip answers, chain forward, handle ")
                    .carrying("syn-ack"),
            ),
        ),
        || {
            let lab = Nested::default().build()?;
            lab.out()?.nft(&format!(
                "table ip answers {{
                    chain forward {{
                        type filter hook forward priority 0
                        ct state established tcp sport {} drop
                        tcp sport {PORT} tcp flags syn counter drop
                    }}
                }}",
                PORT + 1
            ))?;
            unanswered(lab)
        },
    ),
    scenario(
        "Q3",
        "a bridge's own rules drop what is long",
        finds(Want::new("local-drop", "error").dropped(DropPlace::by_rule(
            "sw",
            "bridge FORWARD",
            "table bridge long, chain forward, handle ",
        ))),
        || {
            let lab = Switched::default().build()?;
            lab.switch()?.nft(
                "table bridge long {
                    chain forward {
                        type filter hook forward priority 0
                        ip protocol icmp accept
                        ip length > 1000 counter drop
                    }
                }",
            )?;
            hangs(lab, UPLOAD)
        },
    ),
    scenario(
        "Q4",
        "connection tracking takes a connection for invalid",
        finds(Want::new("local-drop", "error").dropped(DropPlace::by_rule(
            "host",
            "FORWARD",
            "ct state invalid",
        ))),
        || {
            let lab = Nested::default().build()?;
            traffic(move || {
                let outcome = lab.run(&UPLOAD)?;
                ensure!(outcome.completed(), "should complete: {outcome:?}");
                // What it has not seen from the beginning is invalid.
                let host = lab.host()?;
                host.nft(
                    "table inet tracked {
                        chain forward {
                            type filter hook forward priority 0
                            ct state established,related,new counter accept
                        }
                    }",
                )?;
                host.sysctl("netfilter/nf_conntrack_tcp_loose", "0")?;
                host.nft("add rule inet tracked forward ct state invalid counter drop")?;
                hung(lab, UPLOAD, push(outcome.connection, &UPLOAD)?)
            })
        },
    ),
    scenario(
        "Q5",
        "the reverse path filter drops the SYN",
        finds(
            Want::new("handshake-timeout", "warning")
                .dropped(DropPlace::for_reason("srv", "IP_RPFILTER").carrying("syn")),
        ),
        || {
            let lab = Nested::default().build()?;
            let server = lab.server()?;
            server.ip("link add other type veth peer name elsewhere\n\
                 link set other up\n\
                 link set elsewhere up\n\
                 route replace default dev other\n")?;
            let setting = format!("ipv4/conf/{}/rp_filter", NestedLab::SERVER);
            server.sysctl(&setting, "1")?;
            unanswered(lab)
        },
    ),
    scenario(
        "Q6",
        "the next hop does not answer",
        finds(
            Want::new("handshake-timeout", "warning")
                .dropped(DropPlace::for_reason("host", "NEIGH_FAILED").carrying("syn")),
        ),
        || {
            let lab = Nested::default().build()?;
            let SocketAddr::V4(server) = address(&lab) else {
                anyhow::bail!("an address of IPv6");
            };
            let beside = (server.ip().to_bits() + 2).into();
            traffic(move || {
                // It gives up after three seconds, and says so.
                let absent = SocketAddr::new(std::net::IpAddr::V4(beside), PORT);
                let answer = connect(lab.inside()?, absent, Duration::from_secs(6));
                ensure!(!matches!(answer, Ok(Ok(_))), "something answered");
                Ok(once(lab, Vec::new()))
            })
        },
    ),
];

const PORT: u16 = UPLOAD.port;

fn address(lab: &NestedLab) -> SocketAddr {
    SocketAddr::new(lab.server_address(Family::V4), PORT)
}

/// A server listens, and the client waits for its answer in vain.
fn unanswered(lab: NestedLab) -> Result<Traffic> {
    traffic(move || {
        let server = address(&lab);
        let listener = lab
            .server()?
            .run(|| TcpListener::bind(server).context("listening"))?;
        let answer = connect(lab.inside()?, server, Duration::from_millis(3500))?;
        ensure!(answer.is_err(), "the server answered");
        Ok(once(lab, vec![Box::new(listener)]))
    })
}
