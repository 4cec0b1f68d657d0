//! Servers that are known by another address than their own.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::address::{Family, MIDDLE};
use lab::connection::Connection;
use lab::nat;
use lab::topology::Nested;
use lab::traffic::{self, Transfer};

use crate::verdict::completes;

#[test]
fn a_connection_to_a_published_address() -> Result<()> {
    let lab = Nested::default().build()?;
    let transfer = Transfer::download(20_000);
    let published = SocketAddr::new(MIDDLE.host(10, Family::V4), transfer.port);
    let own = SocketAddr::new(lab.server_address(Family::V4), transfer.port);
    nat::publish(lab.host()?, published, own)?;
    let (client, server) = (lab.inside()?, lab.server()?);
    let connection = Connection::open_published(client, server, published, own, transfer.limit)?;
    ensure!(connection.near.peer_addr()? == published);
    ensure!(connection.far.local_addr()? == own);
    completes(&traffic::carry(connection, &transfer)?)
}
