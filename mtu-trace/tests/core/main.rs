//! Tests of the pure core: lists of events in, findings and reports out.
//!
//! No root, no network, no clock: an event has the time it is given here.
#![expect(clippy::unwrap_used, reason = "what is missing here is a failed test")]

mod apart;
mod black_hole;
mod bounded;
mod captured;
mod damaged;
mod datapaths;
mod dropped;
mod encrypted;
mod frozen;
mod generated;
mod golden;
mod gone;
mod hostile;
mod joining;
mod kernel_word;
mod late;
mod loss;
mod network;
mod no_route;
mod not_dropped;
mod older;
mod packet;
mod path_mtu;
mod properties;
mod recording;
mod records;
mod replaying;
mod reports;
mod scenario;
mod selecting;
mod sites;
