//! The table is what it is meant to be: its order, its cases, its pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;
use crate::core::verdicts::facts::{EXCLUDED, IMPLIED};

const SEEN_THERE: &str = "a place or a message that was seen says more than what lies ahead";
const STALLED_AGAIN: &str = "what is stalled now matters more than what got through before it";
const SIZE_EXPLAINS: &str =
    "other drops and a failing start are often the same packets, seen again";
const ONE_CONNECTION: &str = "what was dropped for its size is told, also if it has recovered";
const ENDS_ONLY: &str = "a drop or a message on this host explains what the ends show of it";
const STILL_A_HOLE: &str = "a hole that was seen stays one, whatever has become of the way since";
const NOTHING_SENT: &str = "what does not leave its sender explains whatever else is seen of it";
const LESS_SURE: &str =
    "packets that were seen say more than a network as it stands, or than nothing seen";

const STALLS: &[&str] = &["segments", "datagrams", "blocked message", "passing"];
const RECOVERIES: &[&str] = &["recovered late", "recovered", "told datagrams"];
const DROPS: &[&str] = &["dropped and stalled", "dropped"];
const NO_ROUTE: &[&str] = &["nothing leaves", "nothing left"];
const BEYOND: &[&str] = &["sender beyond a hole", "receiver beyond a hole"];
const SHOWN_BY_ENDS: &[&str] = &["zero window", "cut off", "lost"];

/// Cases that can fit one direction at the same time as later ones, and why they come first.
const MEANT: &[(&[&str], &[&str], &str)] = &[
    (
        &["segments"],
        &["datagrams"],
        "sequence numbers show a stall, the number of packets only suggests one",
    ),
    (&["segments", "datagrams"], &["passing"], SEEN_THERE),
    (&["blocked message"], &["passing", "predicted"], SEEN_THERE),
    (
        &["segments"],
        &["recovered late"],
        "what is stalled now matters more than what recovered before it",
    ),
    (
        &["datagrams"],
        &["recovered late"],
        "what is dropped again and again matters more than what recovered before it",
    ),
    (&["passing"], RECOVERIES, STALLED_AGAIN),
    (&["passing"], &["predicted"], LESS_SURE),
    (
        &["segments", "datagrams"],
        &["nothing leaves"],
        STILL_A_HOLE,
    ),
    (STALLS, &["nothing left"], STALLED_AGAIN),
    (&["predicted"], &["nothing left"], STALLED_AGAIN),
    (NO_ROUTE, RECOVERIES, NOTHING_SENT),
    (NO_ROUTE, DROPS, NOTHING_SENT),
    (NO_ROUTE, &["came down late", "handshake"], NOTHING_SENT),
    (NO_ROUTE, SHOWN_BY_ENDS, NOTHING_SENT),
    (STALLS, &["handshake"], SIZE_EXPLAINS),
    (STALLS, DROPS, SIZE_EXPLAINS),
    (STALLS, &["came down late"], ENDS_ONLY),
    (STALLS, SHOWN_BY_ENDS, ENDS_ONLY),
    (
        &["predicted"],
        &["sender beyond a hole"],
        "a place that can be named on this host comes before one that cannot",
    ),
    (&["predicted"], &["came down late"], STALLED_AGAIN),
    (&["predicted"], SHOWN_BY_ENDS, STALLED_AGAIN),
    (BEYOND, &["came down late", "lost"], STALLED_AGAIN),
    (
        &["sender beyond a hole"],
        &["zero window", "cut off"],
        STALLED_AGAIN,
    ),
    (RECOVERIES, &["handshake"], ONE_CONNECTION),
    (RECOVERIES, DROPS, ONE_CONNECTION),
    (RECOVERIES, &["came down late"], ENDS_ONLY),
    (RECOVERIES, SHOWN_BY_ENDS, ENDS_ONLY),
    (
        &["came down late"],
        SHOWN_BY_ENDS,
        "smaller segments that got through name the fault, the others name its traces",
    ),
    (
        &["dropped and stalled"],
        &["dropped"],
        "the same drops, and nothing gets through besides",
    ),
    (DROPS, SHOWN_BY_ENDS, ENDS_ONLY),
    (&["handshake"], &["zero window"], ENDS_ONLY),
];

/// All facts that hold if these do.
fn closed(facts: impl IntoIterator<Item = Fact>) -> BTreeSet<Fact> {
    let mut held: BTreeSet<Fact> = facts.into_iter().collect();
    for (fact, others) in IMPLIED {
        if held.contains(fact) {
            held.extend(*others);
        }
    }
    held
}

/// Whether these facts can hold together.
fn can_hold(held: &BTreeSet<Fact>) -> bool {
    let excluded = |others: &[Fact]| others.iter().any(|other| held.contains(other));
    !EXCLUDED
        .iter()
        .any(|(fact, others)| held.contains(fact) && excluded(others))
}

fn can_both_fit(a: &Case, b: &Case) -> bool {
    let held = closed(a.needs.iter().chain(b.needs).copied());
    let mut unless = a.unless.iter().chain(b.unless);
    can_hold(&held) && !unless.any(|fact| held.contains(fact))
}

/// For every pair of cases that can fit together it is said why the first one comes first, and for no
/// other: whoever adds or moves a case has to think about its place.
#[test]
fn the_order_of_cases_is_meant() {
    let mut meant: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (firsts, later, why) in MEANT {
        assert!(why.split(' ').count() > 3, "{firsts:?}: {why}");
        let pairs = firsts
            .iter()
            .flat_map(|first| later.iter().map(move |second| (*first, *second)));
        for pair in pairs {
            assert!(meant.insert(pair, why).is_none(), "{pair:?}: twice");
        }
    }
    let mut found: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (index, (_, first)) in cases().enumerate() {
        let later = cases().skip(index + 1);
        let later = later.filter(|(_, second)| can_both_fit(first, second));
        found.extend(later.map(|(_, second)| (first.name, second.name)));
    }
    let meant: BTreeSet<(&str, &str)> = meant.into_keys().collect();
    let missing: Vec<_> = found.difference(&meant).collect();
    let wrong: Vec<_> = meant.difference(&found).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "not said: {missing:?}, not so: {wrong:?}"
    );
}

/// No case is hidden behind an earlier one: where its facts hold and no others, it decides.
#[test]
fn every_case_can_decide() {
    for (_, case) in cases() {
        let held = closed(case.needs.iter().copied());
        let fits = |(_, other): &(Verdict, &Case)| {
            other.needs.iter().all(|fact| held.contains(fact))
                && !other.unless.iter().any(|fact| held.contains(fact))
        };
        assert!(can_hold(&held), "{}", case.name);
        let first = cases().find(fits).map(|(_, first)| first.name);
        assert_eq!(first, Some(case.name));
    }
}

#[test]
fn names_are_unique_and_every_fact_is_needed() {
    let unique: BTreeSet<&str> = cases().map(|(_, case)| case.name).collect();
    assert_eq!(unique.len(), cases().count());
    let names: BTreeSet<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
    assert_eq!(names.len(), Verdict::ALL.len());
    for fact in Fact::ALL {
        let named = |(_, case): (Verdict, &Case)| {
            [case.needs, case.unless, case.surer_with]
                .concat()
                .contains(fact)
        };
        assert!(cases().any(named), "{fact:?}");
    }
}

/// Nobody is told of a verdict, or of a severity of it, that nothing comes to.
#[test]
fn severities_are_those_of_the_cases() {
    for verdict in Verdict::ALL {
        let found = entry(verdict).cases.iter().map(|case| case.severity);
        let found: BTreeSet<Severity> = found.collect();
        let found: Vec<Severity> = found.into_iter().rev().collect();
        match verdict {
            Verdict::MtuMismatch => assert!(found.is_empty(), "{verdict:?}"),
            _ => assert_eq!(found, entry(verdict).severities, "{verdict:?}"),
        }
    }
}

/// The pages in docs/verdicts are those of the verdicts, and no others.
#[test]
fn every_page_is_a_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verdicts");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let pages = Verdict::ALL.map(|verdict| format!("{}.md", verdict.name()));
    assert_eq!(files, BTreeSet::from(pages));
}

const SECTIONS: [&str; 6] = [
    "## What it is",
    "## How it looks",
    "## What mtu-trace sees",
    "## Check by hand",
    "## What to do",
    "## Easily confused with",
];

#[test]
fn pages_begin_with_name_and_meaning() {
    for verdict in Verdict::ALL {
        let entry = entry(verdict);
        let mut lines = page(verdict).lines();
        let title = format!("# {}", verdict.name());
        assert_eq!(lines.next(), Some(title.as_str()));
        assert_eq!(lines.next(), Some(""), "{title}");
        assert_eq!(lines.next(), Some(entry.meaning), "{title}");
    }
}

#[test]
fn pages_have_every_section_once_and_in_order() {
    for verdict in Verdict::ALL {
        let lines = page(verdict).lines();
        let found: Vec<&str> = lines.filter(|line| line.starts_with("## ")).collect();
        assert_eq!(found, SECTIONS, "{}", verdict.name());
    }
}

#[test]
fn pages_tell_the_severities_of_the_catalogue() {
    for verdict in Verdict::ALL {
        let entry = entry(verdict);
        let (head, _) = page(verdict).split_once("confidence  ").unwrap();
        let block = head.split_once("    severity  ").unwrap().1;
        let told: Vec<&str> = block
            .lines()
            .filter(|line| !line.starts_with(&" ".repeat(20)))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(
            told.join(", "),
            entry.severity_words(),
            "{}",
            verdict.name()
        );
    }
}

#[test]
fn pages_fit_a_terminal() {
    for verdict in Verdict::ALL {
        let page = page(verdict);
        let count = page.lines().count();
        assert!((40..=80).contains(&count), "{}: {count}", verdict.name());
        for line in page.lines() {
            assert!(line.chars().count() < 90, "{}: {line}", verdict.name());
            assert_eq!(line, line.trim_end(), "{}", verdict.name());
        }
        assert!(page.ends_with('\n'), "{}", verdict.name());
    }
}

#[test]
fn pages_refer_to_verdicts_that_exist() {
    for verdict in Verdict::ALL {
        let (_, confused) = page(verdict).rsplit_once(SECTIONS[5]).unwrap();
        let known = Verdict::ALL.iter().filter(|other| **other != verdict);
        let named = known.filter(|other| confused.contains(other.name()));
        assert!(named.count() > 0, "{}", verdict.name());
    }
}
