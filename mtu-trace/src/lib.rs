//! mtu-trace finds the TCP connections that stall because a packet is too big for a link, and says
//! where, why nobody told the sender, and what to set.
//!
//! Data flows one way: kernel record, decoded and attributed ([`kernel`]), to events ([`event`]),
//! to connections ([`correlate`]), to findings ([`diagnose`]), to a report ([`report`]). Between the
//! events and the connections they can be kept in a file, and read from it ([`capture`]). What the
//! screens ([`tui`]) show of them is gathered in [`watch`].

pub mod audit;
pub mod capture;
pub mod cli;
pub mod commands;
pub mod correlate;
pub mod diagnose;
pub mod event;
pub mod firewall;
pub mod identity;
pub mod kernel;
mod netlink;
pub mod replay;
pub mod report;
pub mod select;
pub mod topology;
pub mod tui;
pub mod watch;
