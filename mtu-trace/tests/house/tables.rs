//! Tables: each row has a name of its own, and a page in `docs/` that says what it is. The rows of the
//! decision table and of the verdicts are tested where they stand.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;

use clap::ValueEnum;
use mtu_trace::testing::{ENGINES, ExportFormat, Format, HOOKS, PANES, SITES, Site, Verdict};

use super::layers::LAYERS;
use super::source::top;

/// What is wrong with a table whose rows have these cells, the name first: names that come twice, and
/// what the page under `heading` has otherwise, line by line.
fn faults(rows: &[Vec<String>], page: &str, heading: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    let twice = rows.iter().filter(|row| !names.insert(&row[0]));
    let mut faults: Vec<String> = twice.map(|row| format!("{} comes twice", row[0])).collect();
    let section = page.split("\n## ").find(|it| it.starts_with(heading));
    let lines = section.unwrap_or(page).lines();
    let told: Vec<&str> = lines.filter(|line| line.starts_with("| `")).collect();
    let wanted = rows
        .iter()
        .map(|row| format!("| `{}` | {}", row[0], row[1..].join(" | ")));
    let wanted: Vec<String> = wanted.map(|line| line.trim_end().to_owned()).collect();
    for (nth, line) in wanted.iter().enumerate() {
        if !told.get(nth).is_some_and(|told| told.starts_with(line)) {
            faults.push(format!("line {} of {heading} is not: {line} |", nth + 1));
        }
    }
    faults.extend(
        told.iter()
            .skip(wanted.len())
            .map(|told| format!("there is no {told}")),
    );
    faults
}

#[track_caller]
fn is_told(rows: &[Vec<String>], page: &str, heading: &str) {
    let text = fs::read_to_string(top().join("docs").join(page)).unwrap();
    let faults = faults(rows, &text, heading);
    assert!(faults.is_empty(), "docs/{page}:\n{}", faults.join("\n"));
}

/// The values that an option takes, as its help has them.
fn values<T: ValueEnum>() -> Vec<Vec<String>> {
    let rows = T::value_variants().iter().map(|value| {
        let value = value.to_possible_value().unwrap();
        let help = value.get_help().unwrap().to_string();
        vec![value.get_name().to_owned(), help]
    });
    rows.collect()
}

fn names(rows: &[impl Debug]) -> Vec<Vec<String>> {
    rows.iter().map(|row| vec![format!("{row:?}")]).collect()
}

#[test]
fn hooks_are_told() {
    let rows: Vec<Vec<String>> = HOOKS
        .iter()
        .map(|hook| {
            [hook.name, hook.shows, hook.lost]
                .map(str::to_owned)
                .to_vec()
        })
        .collect();
    is_told(&rows, "hooks.md", "Hooks");
}

#[test]
fn sites_are_told() {
    let row = |site: &&Site| {
        let functions = site.functions.iter().map(|function| function.names[0]);
        let functions: Vec<String> = functions.map(|name| format!("`{name}`")).collect();
        vec![site.name.to_owned(), functions.join(" ")]
    };
    is_told(
        &SITES.iter().map(row).collect::<Vec<_>>(),
        "sites.md",
        "Sites",
    );
}

#[test]
fn engines_are_told() {
    let rows: Vec<Vec<String>> = ENGINES
        .iter()
        .map(|engine| vec![engine.name.to_owned()])
        .collect();
    is_told(&rows, "deployment.md", "Container engines");
}

#[test]
fn layers_are_told() {
    let text = fs::read_to_string(top().join("ARCHITECTURE.md")).unwrap();
    assert_eq!(layers_told(&text), LAYERS);
    let other = text.replace("| `host` |", "| `hosts` |");
    assert_ne!(layers_told(&other), LAYERS);
}

/// The layers that the page of the architecture lists, in its order.
fn layers_told(page: &str) -> Vec<&str> {
    let section = page.split("\n## ").find(|it| it.starts_with("Layers"));
    let rows = section
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn forms_are_told() {
    is_told(&values::<Format>(), "formats.md", "Report");
    is_told(&values::<ExportFormat>(), "formats.md", "Events");
}

#[test]
fn panes_are_told() {
    is_told(&names(&PANES), "screens.md", "Panes");
}

#[test]
fn verdicts_have_pages() {
    let pages = fs::read_dir(top().join("docs/verdicts")).unwrap();
    let pages: BTreeSet<String> = pages
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    let wanted = Verdict::ALL.map(|verdict| format!("{}.md", verdict.name()));
    assert_eq!(pages, BTreeSet::from(wanted));
}

#[test]
fn a_row_that_is_told_wrongly_or_twice_is_found() {
    let row = |name: &str, what: &str| vec![name.to_owned(), what.to_owned()];
    let page =
        "# Things\n\n## Things\n\n| `a` | one |\n| `b` | two |\n\n## Others\n\n| `c` | three |\n";
    let right = [row("a", "one"), row("b", "two")];
    assert_eq!(faults(&right, page, "Things"), [""; 0]);
    assert_eq!(
        faults(
            &[row("a", "one"), row("b", "2"), row("b", "3")],
            page,
            "Things"
        ),
        [
            "b comes twice",
            "line 2 of Things is not: | `b` | 2 |",
            "line 3 of Things is not: | `b` | 3 |",
        ]
    );
    assert_eq!(
        faults(&right[..1], page, "Things"),
        ["there is no | `b` | two |"]
    );
    assert_eq!(faults(&right, page, "Others").len(), 2);
}
