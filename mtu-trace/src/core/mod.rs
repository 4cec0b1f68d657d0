//! What is concluded. Pure: no clock, no input or output.

pub mod audit;
pub mod firewall;
pub mod graph;
pub mod select;
pub mod sites;
pub mod track;
pub mod verdicts;
