//! The table is what it is meant to be: its order, its rows, its pages.

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

/// Rows that can fit one direction at the same time as later ones, and why they come first.
const MEANT: &[(&str, &[&str], &str)] = &[
    (
        "segments",
        &["datagrams"],
        "sequence numbers show a stall, the number of packets only suggests one",
    ),
    (
        "segments",
        &["recovered late"],
        "what is stalled now matters more than what recovered before it",
    ),
    (
        "datagrams",
        &["recovered late"],
        "what is dropped again and again matters more than what recovered before it",
    ),
    ("segments", &["passing"], SEEN_THERE),
    ("datagrams", &["passing"], SEEN_THERE),
    ("blocked message", &["passing", "predicted"], SEEN_THERE),
    (
        "passing",
        &["recovered late", "recovered", "told datagrams"],
        STALLED_AGAIN,
    ),
    (
        "passing",
        &[
            "predicted",
            "sender beyond a hole",
            "receiver beyond a hole",
        ],
        "packets that were seen say more than a network as it stands, or than nothing seen",
    ),
    (
        "segments",
        &["handshake", "dropped and stalled", "dropped"],
        SIZE_EXPLAINS,
    ),
    (
        "datagrams",
        &["handshake", "dropped and stalled", "dropped"],
        SIZE_EXPLAINS,
    ),
    (
        "blocked message",
        &["handshake", "dropped and stalled", "dropped"],
        SIZE_EXPLAINS,
    ),
    (
        "passing",
        &["handshake", "dropped and stalled", "dropped"],
        SIZE_EXPLAINS,
    ),
    (
        "recovered late",
        &["recovered", "told datagrams"],
        "it got through, but too late to be well",
    ),
    (
        "recovered late",
        &["handshake", "dropped and stalled", "dropped"],
        ONE_CONNECTION,
    ),
    (
        "recovered",
        &["handshake", "dropped and stalled", "dropped"],
        ONE_CONNECTION,
    ),
    (
        "told datagrams",
        &["handshake", "dropped and stalled", "dropped"],
        ONE_CONNECTION,
    ),
    (
        "handshake",
        &["dropped and stalled", "dropped"],
        "the drop of a SYN is the cause of a handshake that fails, and named in its sentence",
    ),
    (
        "handshake",
        &["predicted"],
        "a connection that never came up has sent nothing full-size",
    ),
    (
        "dropped and stalled",
        &["dropped"],
        "the same drops, and nothing gets through besides",
    ),
    (
        "predicted",
        &["sender beyond a hole"],
        "a place that can be named on this host comes before one that cannot",
    ),
    (
        "segments",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "datagrams",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "blocked message",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "passing",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "recovered late",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "recovered",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "told datagrams",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "handshake",
        &["came down late", "zero window", "lost"],
        ENDS_ONLY,
    ),
    (
        "dropped and stalled",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "dropped",
        &["came down late", "zero window", "cut off", "lost"],
        ENDS_ONLY,
    ),
    (
        "predicted",
        &["came down late", "zero window", "cut off", "lost"],
        STALLED_AGAIN,
    ),
    (
        "sender beyond a hole",
        &["came down late", "zero window", "cut off", "lost"],
        STALLED_AGAIN,
    ),
    (
        "receiver beyond a hole",
        &["came down late", "lost"],
        STALLED_AGAIN,
    ),
    (
        "came down late",
        &["zero window", "cut off", "lost"],
        "smaller segments that got through name the fault, the others name its traces",
    ),
    (
        "zero window",
        &["lost"],
        "what holds the connection up now matters more than what recovered",
    ),
    (
        "cut off",
        &["lost"],
        "losses of a connection that was given up did not all recover",
    ),
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

fn can_both_fit(a: &DecisionRow, b: &DecisionRow) -> bool {
    let held = closed(a.needs.iter().chain(b.needs).copied());
    let mut unless = a.unless.iter().chain(b.unless);
    can_hold(&held) && !unless.any(|fact| held.contains(fact))
}

/// For every pair of rows that can fit together it is said why the first one comes first, and for no
/// other: whoever adds or moves a row has to think about its place.
#[test]
fn the_order_of_rows_is_meant() {
    let mut meant: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (first, later, why) in MEANT {
        assert!(why.split(' ').count() > 3, "{first}: {why}");
        for second in *later {
            assert!(
                meant.insert((first, second), why).is_none(),
                "{first}, {second}: twice"
            );
        }
    }
    let mut found: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (index, first) in TABLE.iter().enumerate() {
        let later = TABLE.iter().skip(index + 1);
        let later = later.filter(|second| can_both_fit(first, second));
        found.extend(later.map(|second| (first.case, second.case)));
    }
    let meant: BTreeSet<(&str, &str)> = meant.into_keys().collect();
    let missing: Vec<_> = found.difference(&meant).collect();
    let wrong: Vec<_> = meant.difference(&found).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "not said: {missing:?}, not so: {wrong:?}"
    );
}

/// No row is hidden behind an earlier one: where its facts hold and no others, it decides.
#[test]
fn every_row_can_decide() {
    for row in TABLE {
        let held = closed(row.needs.iter().copied());
        let fits = |other: &&DecisionRow| {
            other.needs.iter().all(|fact| held.contains(fact))
                && !other.unless.iter().any(|fact| held.contains(fact))
        };
        assert!(can_hold(&held), "{}", row.case);
        let first = TABLE.iter().find(fits).map(|first| first.case);
        assert_eq!(first, Some(row.case));
    }
}

#[test]
fn names_are_unique_and_every_fact_is_needed() {
    let cases: BTreeSet<&str> = TABLE.iter().map(|row| row.case).collect();
    assert_eq!(cases.len(), TABLE.len());
    let names: BTreeSet<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
    assert_eq!(names.len(), Verdict::ALL.len());
    for fact in Fact::ALL {
        let named = |row: &DecisionRow| {
            [row.needs, row.unless, row.surer_with]
                .concat()
                .contains(fact)
        };
        assert!(TABLE.iter().any(named), "{fact:?}");
    }
}

/// Nobody is told of a verdict, or of a severity of it, that nothing comes to.
#[test]
fn severities_are_those_of_the_rows() {
    for verdict in Verdict::ALL {
        let rows = TABLE.iter().filter(|row| row.verdict == verdict);
        let found: BTreeSet<Severity> = rows.map(|row| row.severity).collect();
        let found: Vec<Severity> = found.into_iter().rev().collect();
        match entry(verdict).origin {
            Origin::Trace { .. } => assert_eq!(found, entry(verdict).severities, "{verdict:?}"),
            Origin::Audit => assert!(found.is_empty(), "{verdict:?}"),
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
        let mut lines = entry.page.lines();
        let title = format!("# {}", verdict.name());
        assert_eq!(lines.next(), Some(title.as_str()));
        assert_eq!(lines.next(), Some(""), "{title}");
        assert_eq!(lines.next(), Some(entry.meaning), "{title}");
    }
}

#[test]
fn pages_have_every_section_once_and_in_order() {
    for verdict in Verdict::ALL {
        let lines = entry(verdict).page.lines();
        let found: Vec<&str> = lines.filter(|line| line.starts_with("## ")).collect();
        assert_eq!(found, SECTIONS, "{}", verdict.name());
    }
}

#[test]
fn pages_tell_the_severities_of_the_catalogue() {
    for verdict in Verdict::ALL {
        let entry = entry(verdict);
        let (head, _) = entry.page.split_once("confidence  ").unwrap();
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
        let page = entry(verdict).page;
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
        let (_, confused) = entry(verdict).page.rsplit_once(SECTIONS[5]).unwrap();
        let known = Verdict::ALL.iter().filter(|other| **other != verdict);
        let named = known.filter(|other| confused.contains(other.name()));
        assert!(named.count() > 0, "{}", verdict.name());
    }
}
