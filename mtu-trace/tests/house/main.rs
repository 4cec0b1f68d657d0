//! The rules of the house: what holds for the sources themselves, whoever changes them. They are read
//! with `syn`, so what a comment or a string says does not count.
//!
//! Each rule lists what offends against it, with file and line. All that offends is also written to
//! `target/tmp/house-left.txt`.
#![expect(clippy::unwrap_used, reason = "what is missing here is a failed test")]

mod circles;
mod layers;
mod names;
mod rules;
mod sizes;
mod source;
mod tables;
mod thresholds;
