//! Filters and targets on made-up tuples and namespaces.

pub(crate) mod expressions;
pub(crate) mod random;
pub(crate) mod targets;

use crate::core::select::{Filter, Subject};
use crate::model::event::Flow;
use crate::model::network::NetnsId;

/// A subject with these tuples: protocol, source, destination.
fn subject(tuples: &[(u8, &str, &str)]) -> Subject {
    let tuples: Vec<Flow> = tuples
        .iter()
        .map(|&(protocol, source, destination)| Flow {
            netns: NetnsId(1),
            protocol,
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
        })
        .collect();
    Subject {
        tuples,
        ..Subject::default()
    }
}

#[track_caller]
fn holds(filter: &str, subject: &Subject) -> bool {
    match Filter::parse(filter) {
        Ok(filter) => filter.holds(subject),
        Err(error) => panic!("{}", error.pointed()),
    }
}
