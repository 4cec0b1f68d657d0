//! What people and programs are shown.

pub mod export;
pub mod replay;
pub mod report;
pub mod tui;
pub mod watch;
