//! The lab by itself: its networks, traffic and faults do what they say, by the kernel's own counters.
//!
//! That a scenario's fault is there is proved by the counters in its row of the table of scenarios;
//! here is what no row shows. When one of these fails, the scenarios mean nothing.
#![allow(missing_docs, reason = "a test's name says what it is")]

mod asymmetric;
mod datagrams;
mod deep;
mod endings;
mod faults;
mod lifetime;
mod macvlan;
mod obstacles;
mod overlay;
mod paused;
mod published;
mod remedies;
mod settings;
mod trunk;
mod tunnels;
mod unread;
mod verdict;
mod wires;
