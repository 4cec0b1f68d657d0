//! Which findings are selected, and what a message about packet sizes foretells of their place.

use super::rules::{Case, Cause, Match};
use crate::{
    audit::{Foreseen, foresee},
    correlate::{OtherKey, SiteKey},
    select::{Scope, Subject},
};

/// Whether a direction of a connection is selected: by the connection, or by the place that its
/// finding names besides.
pub fn is_selected(case: &Case<'_>, found: &Match, scope: &Scope) -> bool {
    if scope.is_everything() {
        return true;
    }
    let mut subject = Subject::connection(case.connection, case.side);
    match &found.cause {
        Cause::Site(SiteKey { netns, .. }) | Cause::Other(OtherKey { netns, .. }) => {
            subject.also_in(*netns);
        }
        Cause::Message(netns, ..) => {
            subject.also_in(*netns);
            if let Some(foreseen) = foreseen(case, &found.cause) {
                subject.also_in(foreseen.boundary.netns.id());
            }
        }
        // A whole network is no place.
        Cause::Peer(..) => {}
    }
    scope.includes(&subject)
}

/// The place where packets must die, where a message tells of it and no drop.
pub fn foreseen(case: &Case<'_>, cause: &Cause) -> Option<Foreseen> {
    let (Cause::Message(..), Some(told_bytes)) = (cause, case.track.icmp.mtu_bytes) else {
        return None;
    };
    let flow = case.connection.sender(case.side)?.socket.flow;
    let topology = &case.state.topology;
    foresee(topology, flow.netns, flow.destination.ip(), told_bytes)
}
