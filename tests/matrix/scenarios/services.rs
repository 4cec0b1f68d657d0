//! A service: clients know another address for the server than it has itself.

use std::net::SocketAddr;

use anyhow::Result;
use lab::address::{Family, MIDDLE};
use lab::connection::Connection;
use lab::firewall::{Hook, drop_frag_needed};
use lab::topology::{Nested, NestedLab};
use lab::traffic::{Outcome, Transfer, carry};
use lab::{Lab, link, nat};

use super::{DOWNLOAD, ROUTED, SMALL_UPLINK, UPLOAD, finds, hangs, hung, scenario, traffic};
use crate::scenario::{Network, Place, Scenario, Want};

const BEHIND: Place = Place {
    ingress: None,
    egress: NestedLab::EXTERNAL,
    function: "__dev_forward_skb2",
    ..ROUTED
};

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "K1",
        "A2 with a service, its address translated",
        finds(
            Want::hole(ROUTED)
                .blocked("host", "OUTPUT")
                .direction("download"),
        ),
        || {
            let service = Service::new(SMALL_UPLINK)?;
            drop_frag_needed(service.0.host()?, Hook::Output)?;
            hangs(service, DOWNLOAD)
        },
    ),
    scenario(
        "K2",
        "K1 behind two masquerades",
        finds(Want {
            local_needs: Some("sock:inet_sock_set_state"),
            ..Want::hole(ROUTED)
                .blocked("host", "OUTPUT")
                .direction("download")
        }),
        || {
            let service = Service::new(Nested {
                masquerade: true,
                ..SMALL_UPLINK
            })?;
            drop_frag_needed(service.0.host()?, Hook::Output)?;
            hangs(service, DOWNLOAD)
        },
    ),
    scenario(
        "K3",
        "a service whose backend's interface shrinks",
        finds(Want::hole(BEHIND).silent().direction("upload")),
        || {
            let service = Service::new(Nested::default())?;
            traffic(move || {
                let connection = service.open(&UPLOAD)?;
                link::set_mtu(service.0.server()?, NestedLab::SERVER, 1450)?;
                hung(service, UPLOAD, carry(connection, &UPLOAD)?)
            })
        },
    )
    .unforeseen("the MTU is set under traffic"),
];

/// The server at an address that the host translates to the server's own.
struct Service(NestedLab);

impl Service {
    fn new(nested: Nested) -> Result<Self> {
        let service = Self(nested.build()?);
        // The second is for doing it again.
        for port in [DOWNLOAD.port, DOWNLOAD.port + 1] {
            let [published, own] = service.addresses(port);
            nat::publish(service.0.host()?, published, own)?;
        }
        Ok(service)
    }

    /// What clients know and what the server has.
    fn addresses(&self, port: u16) -> [SocketAddr; 2] {
        [
            MIDDLE.host(10, Family::V4),
            self.0.server_address(Family::V4),
        ]
        .map(|address| SocketAddr::new(address, port))
    }

    fn open(&self, transfer: &Transfer) -> Result<Connection> {
        let [published, own] = self.addresses(transfer.port);
        let (client, server) = (self.0.inside()?, self.0.server()?);
        Connection::open_published(client, server, published, own, transfer.limit)
    }
}

impl Network for Service {
    fn lab(&self) -> &Lab {
        &self.0.lab
    }

    fn run(&self, transfer: &Transfer) -> Result<Outcome> {
        carry(self.open(transfer)?, transfer)
    }
}
