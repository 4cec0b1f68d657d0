//! The host's network: namespaces, their links, and how a packet gets from one to another.
//!
//! [`Watcher`] keeps the picture ([`Topology`]) up to date; [`path`](path::path) and
//! [`limits`](limits::limits) are pure functions over it.
//!
//! # How namespaces are watched
//!
//! Watching must not change what is watched. Any descriptor of a namespace and any socket made in
//! one keeps it alive, with its devices and so with the other ends of its veths on the host
//! (measured, Linux 6.18: with either held, a veth stays after `ip netns del`, until it is closed).
//! One listening socket in each namespace would therefore leak every container's network for as
//! long as the tracer runs. So nothing is ever kept open in a namespace. Instead one private, empty
//! namespace (`hub`) knows all the others by number, which holds no reference; from there they are
//! listened to, asked for their links and addresses without being entered, and reported when they
//! die.
//!
//! What that cannot tell is that a namespace has been *made*. One that matters has a link to a known
//! one, and making that link is heard: it then points to a namespace not known yet, and
//! [`Watcher::follow`] looks for it (`discover`). Container engines mount theirs before that, which is
//! told too and makes [`Watcher::follow_mounts`] look. What has neither is found by the next
//! [`Watcher::refresh`].
//!
//! Routes, rules, path MTUs and settings are told only inside. [`Watcher::survey`] goes in for them,
//! with a thread and a socket that are gone half a millisecond later; route changes are heard as the
//! others are, but on a socket that nobody waits for, because a router can make more of them than
//! anybody could follow.
//!
//! Identity is the namespace's cookie. Inode numbers are reused at once, so a number known before is
//! believed only while the hub has not been told of its namespace's death.

mod attributes;
mod census;
#[cfg(test)]
mod decode_tests;
mod discover;
mod entrance;
#[cfg(test)]
pub(crate) mod fixture;
mod hearing;
mod hub;
mod inside;
pub mod limits;
mod linkinfo;
mod looking;
mod model;
pub(crate) mod mounts;
pub mod name;
mod naming;
#[cfg(test)]
mod naming_tests;
mod netns;
mod networks;
mod notice;
pub mod path;
mod record;
mod requests;
pub(crate) mod role;
mod routes;
mod rules;
mod snapshot;
mod survey;
#[cfg(test)]
mod survey_tests;
#[cfg(test)]
mod tests;
mod watcher;

pub use self::{
    discover::Depth,
    entrance::Entrance,
    model::{
        Address, Container, Fdb, Guest, Inside, Link, Netns, NetnsId, NextHop, OuterDf, PathMtu,
        Peer, Process, Route, RouteKind, Rule, Sysctls, Topology, Tunnel,
    },
    netns::NetnsFile,
    networks::Networks,
    watcher::{Changes, Watcher},
};
