//! What plays a capture, as the screens need it.

use anyhow::Result;

use super::facts::Mark;
use crate::{select::Scope, watch::Watch};

/// A capture that can be looked at as it was at any time.
pub trait Player {
    /// Its first and its last time, ns of `CLOCK_MONOTONIC`. The last one grows while it is read.
    fn span(&self) -> (u64, u64);
    /// Whether all of it was read.
    fn indexed(&self) -> bool;
    /// What the user should know of it, in sentences.
    fn condition(&self) -> Vec<String>;
    /// The time it is at, ns.
    fn now_ns(&self) -> u64;
    /// Goes to a time.
    fn seek(&mut self, to_ns: u64);
    /// Goes to the next event, or to the one before.
    fn step_event(&mut self, forward: bool);
    /// Goes to when the next finding was made, or the one before.
    fn step_finding(&mut self, forward: bool);
    /// When findings were made.
    fn marks(&self) -> Vec<Mark>;
    /// All that was seen up to its time.
    fn watch(&self) -> &Watch;
    /// Selects something else.
    ///
    /// # Errors
    ///
    /// The capture cannot be read again.
    fn select(&mut self, scope: Scope) -> Result<()>;
}
