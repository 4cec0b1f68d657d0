//! `no-route`: nothing of a sender on this host leaves its namespace, since its way out is gone.

use super::*;
use crate::core::track::{Lack, Outage};
use crate::core::verdicts::facts::way_out;
use crate::core::verdicts::sentence::HeldUp;

pub(super) const VERDICT: VerdictEntry = VerdictEntry {
    severities: &[Error, Warning],
    meaning: "The way out is gone: no route, interface or address.",
    cases: &[
        case("nothing leaves", Error, Confirmed, of_open)
            .needs(&[NothingLeaves])
            .surer_with(&[LackSeen]),
        case("nothing left", Warning, Confirmed, of_ended)
            .needs(&[NothingLeft])
            .surer_with(&[LackSeen]),
    ],
    sentence,
    fixes: |worst| worst.regain_way_out().into_iter().collect(),
};

fn of_open(facts: &TrackFacts<'_>) -> Option<Trouble> {
    let outage = way_out::open_outage(facts)?;
    Some(Trouble {
        ongoing: !facts.connection.is_closed(),
        ..of(facts, outage)
    })
}

fn of_ended(facts: &TrackFacts<'_>) -> Option<Trouble> {
    Some(of(facts, way_out::ended_outage(facts)?))
}

fn of(facts: &TrackFacts<'_>, outage: &Outage) -> Trouble {
    let stall = facts.stall().filter(|_| outage.ended_ns.is_none());
    let first_ns = stall.map_or(outage.first_ns, |it| it.first_ns.min(outage.first_ns));
    let last_ns = outage.ended_ns.unwrap_or(outage.last_ns);
    let netns = facts.flow().map(|flow| flow.netns).unwrap_or_default();
    let lack = outage.lack.as_ref().map(Lack::key);
    Trouble {
        attempts: outage.attempts.max(stall.map_or(0, |it| it.attempts)),
        seq: stall.and_then(|it| it.seq),
        ..Trouble::over(
            Cause::WayOut(netns, lack.unwrap_or_default()),
            first_ns,
            last_ns,
        )
    }
}

fn sentence(telling: &Telling<'_>) -> String {
    let who = &telling.who;
    let Some(held_up) = &telling.outage else {
        return who.clone();
    };
    let why = why(held_up);
    match held_up.outage.ended_ns {
        None => format!(
            "{who} gets nowhere: {why}. Nothing of it leaves, so this is not an MTU problem."
        ),
        Some(_) => format!(
            "{who} could send nothing for {:.1} s: {why} meanwhile. It moves again.",
            telling.seconds()
        ),
    }
}

/// What the way out lacks: `interface u of node-1 is down`.
fn why(held_up: &HeldUp<'_>) -> String {
    let HeldUp { outage, place, to } = held_up;
    match &outage.lack {
        Some(Lack::Interface(name)) => format!("interface {name} of {place} is gone"),
        Some(Lack::Up { name, .. }) => format!("interface {name} of {place} is down"),
        Some(Lack::Address(address, Some((_, name, _)))) => {
            format!("its address {address} is gone from {name} of {place}")
        }
        Some(Lack::Address(address, None)) => format!("its address {address} is not in {place}"),
        Some(Lack::Route(route, name)) if route.destination.prefix_len == 0 => {
            format!("the default route of {place} by {name} is gone")
        }
        Some(Lack::Route(route, name)) => {
            let network = route.network();
            format!("the route of {place} to {network} by {name} is gone")
        }
        Some(Lack::AnyRoute) => format!("{place} has no route to {to}"),
        Some(Lack::Refused) => format!("a route of {place} refuses what is sent to {to}"),
        None => {
            let error = outage
                .error
                .map_or_else(String::new, |error| format!(" ({error})"));
            format!("{place} has no way to {to}{error}")
        }
    }
}
