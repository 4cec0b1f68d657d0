//! Which findings are selected.

use crate::core::{
    select::{Scope, Subject},
    sites::SiteKey,
    track::OtherKey,
    verdicts::rules::{Case, Cause, Match},
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
            if let Some(foreseen) = &found.foreseen {
                subject.also_in(foreseen.boundary.netns.id());
            }
        }
        // A whole network is no place.
        Cause::Peer(..) => {}
    }
    scope.includes(&subject)
}
