//! mtu-trace finds the TCP connections that stall because a packet is too big for a link, and says
//! where, why nobody told the sender, and what to set.
//!
//! Layers, each of which uses only those before it: [`base`], [`model`], [`core`] (graph, sites,
//! firewall, track, select, verdicts, audit), [`host`], [`kernel`], [`capture`], [`show`], [`cli`],
//! [`commands`].
//!
//! Data flows one way: kernel record, decoded and attributed ([`kernel`]), to events
//! ([`model::event`]), to connections ([`core::track`]), to findings ([`core::verdicts`]), to a
//! report ([`show::report`]). Between the events and the connections they can be kept in a file, and
//! read from it ([`capture`]). What the screens ([`show::tui`]) show of them is gathered in
//! [`show::watch`].

pub mod base;
pub mod capture;
pub mod cli;
pub mod commands;
pub mod core;
pub mod host;
pub mod kernel;
pub mod model;
pub mod show;
