//! `pmtud-working`: packets were too big, then the sender came down.

use crate::core::verdicts::cause::Cause;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::fixes::FixContext;
use crate::core::verdicts::sentence::{Telling, between};
use crate::core::verdicts::table::{Origin, Trouble, VerdictEntry, page};
use crate::model::finding::{Fix, Severity};

pub const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Severity::Info],
    meaning: "Packets were too big, the sender came down, data moves.",
    page: page!("pmtud-working"),
    origin: Origin::Trace { sentence, fixes },
};

/// That segments got through must have been seen: silence may be a sender that gave up. Of datagrams
/// it is not seen: those that are no longer too big are nobody's business here.
pub(super) fn describe(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let drops = facts.track.worst_site()?;
    let recovery = facts.track.holes.worst;
    let last_ns = recovery
        .map_or(0, |recovery| recovery.at_ns)
        .max(drops.last_ns);
    let cause = Cause::Site(drops.site.key.clone());
    Some(Trouble {
        attempts: recovery.map_or(0, |recovery| recovery.attempts),
        ..Trouble::over(cause, drops.first_ns, last_ns)
    })
}

fn sentence(telling: &Telling<'_>) -> String {
    let Some(boundary) = &telling.finding.boundary else {
        return telling.who.clone();
    };
    format!(
        "{} sent packets of {} bytes into {} {} (limit {}) and came down: path MTU discovery works.",
        telling.who,
        boundary.packet_bytes,
        boundary.netns.label(),
        between(boundary),
        boundary.limit_bytes,
    )
}

fn fixes(context: &FixContext<'_>) -> Vec<Fix> {
    context.lower_local_mtu().into_iter().collect()
}
