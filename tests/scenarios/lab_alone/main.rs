//! The lab by itself: every fault shows in the traffic and in the kernel's counters as it should.
//!
//! When one of these fails, the scenarios of the tracer mean nothing: the fault is not there.
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
