//! Tests of the screens: events and keys in, what is on the screen out.
//!
//! No root, no terminal, no clock: a key comes when it is pressed here, an event has the time it is
//! given here.
#![expect(clippy::unwrap_used, reason = "what is missing here is a failed test")]

mod hostile;
mod keys;
#[allow(dead_code, reason = "the tests of the core use more of it")]
#[path = "../core/network.rs"]
mod network;
#[allow(dead_code, reason = "the tests of the core use more of it")]
#[path = "../core/packet.rs"]
mod packet;
#[allow(dead_code, reason = "the tests of the core use more of it")]
#[path = "../core/recording.rs"]
mod recording;
mod replaying;
#[allow(dead_code, reason = "the tests of the core use more of it")]
#[path = "../core/scenario.rs"]
mod scenario;
mod screens;
mod stage;
mod styles;
