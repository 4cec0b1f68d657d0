//! All rules that the sources keep.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::source::{Crate, Offence, made_up, workspace};
use super::{circles, layers, names, sizes, thresholds};

/// A rule that the sources keep.
struct Rule {
    /// What it demands.
    name: &'static str,
    /// What offends against it.
    offences: fn(&[Crate]) -> Vec<Offence>,
    /// How many offences are let pass.
    allowed: usize,
}

const RULES: [Rule; 8] = [
    Rule {
        name: "a layer uses itself and those below it",
        offences: layers::upward,
        allowed: 0,
    },
    Rule {
        name: "modules of a layer do not use each other in circles",
        offences: circles::circles,
        allowed: 5,
    },
    Rule {
        name: "a type's name means one thing",
        offences: names::with_two_meanings,
        allowed: 0,
    },
    Rule {
        name: "a doc comment is a sentence",
        offences: names::fragments,
        allowed: 0,
    },
    Rule {
        name: "a file has at most 400 lines",
        offences: sizes::long_files,
        allowed: 0,
    },
    Rule {
        name: "a function has at most 80 lines",
        offences: sizes::long_functions,
        allowed: 0,
    },
    Rule {
        name: "two things that a function does have two names, not a bool",
        offences: sizes::bool_parameters,
        allowed: 3,
    },
    Rule {
        name: "a threshold has a name and a comment",
        offences: thresholds::unexplained,
        allowed: 0,
    },
];

/// Also writes down all that offends, file by file, in `target/tmp/house-left.txt`.
#[test]
fn all_are_kept() {
    let crates = workspace();
    let (mut broken, mut counts, mut all) = (String::new(), String::new(), Vec::new());
    for rule in &RULES {
        let offences = (rule.offences)(&crates);
        let count = format!(
            "{}: {}, {} allowed\n",
            rule.name,
            offences.len(),
            rule.allowed
        );
        counts += &count;
        if offences.len() > rule.allowed {
            broken += &count;
            for offence in &offences {
                writeln!(broken, "  {offence}").unwrap();
            }
        }
        all.extend(offences.into_iter().map(|offence| (offence, rule.name)));
    }
    all.sort();
    for (offence, rule) in &all {
        writeln!(counts, "{offence} ({rule})").unwrap();
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("house-left.txt");
    fs::write(file, counts).unwrap();
    assert!(broken.is_empty(), "\n{broken}");
}

/// What a rule finds in a made-up product, without the layers in which nothing is.
fn found(rule: fn(&[Crate]) -> Vec<Offence>, modules: &[(&str, &str)]) -> Vec<String> {
    let offences = rule(&made_up(modules)).into_iter();
    let lines = offences.map(|offence| offence.to_string());
    lines
        .filter(|line| !line.contains("nothing is in"))
        .collect()
}

#[test]
fn a_use_of_a_higher_layer_is_found_however_it_is_written() {
    let host = ("host", "pub struct Watcher; pub const NAME: u8 = 1;");
    let core = ("core", "pub mod track; pub use crate::host::Watcher;");
    for text in [
        "use crate::host::Watcher;",
        "use crate::{base::Clock, host::{self as machine}};",
        "use super::super::host::*;",
        "use super::Watcher;",
        "fn name() -> u8 { crate::host::NAME }",
        "fn name() { println!(\"{}\", crate::host::NAME) }",
        "impl super::Watcher {}",
    ] {
        let offences = found(layers::upward, &[host, core, ("core::track", text)]);
        assert_eq!(offences.len(), 1, "{text}: {offences:?}");
        assert!(
            offences[0].contains("core::track uses host"),
            "{offences:?}"
        );
    }
    for text in [
        "use crate::base::Clock; use super::track as own; pub(in crate::core) fn name() {}",
        "#[cfg(test)] use crate::host::Watcher;",
        "#[cfg(test)] fn name() -> u8 { crate::host::NAME }",
        "/// See `crate::host::NAME`.\nfn name() -> &'static str { \"crate::host::NAME\" }",
    ] {
        let modules = [
            host,
            core,
            ("core::track", text),
            ("base", "pub struct Clock;"),
        ];
        assert_eq!(found(layers::upward, &modules), [""; 0], "{text}");
    }
    assert_eq!(
        found(layers::upward, &[("util", "fn help() {}")]),
        ["util:1: `util` has no layer"]
    );
}

#[test]
fn a_name_that_two_modules_show_is_found() {
    let shown = ("host", "pub struct Place;");
    let offences = found(
        names::with_two_meanings,
        &[shown, ("kernel", "\npub(super) enum Place {}")],
    );
    assert_eq!(
        offences,
        [
            "host:1: type Place in mtu-trace host",
            "kernel:2: type Place in mtu-trace kernel"
        ]
    );
    for own in ["struct Place;", "#[cfg(test)] pub struct Place;"] {
        assert_eq!(
            found(names::with_two_meanings, &[shown, ("kernel", own)]),
            [""; 0]
        );
    }
}

#[test]
fn a_fragment_for_a_comment_is_found() {
    let text =
        "/// A place.\npub struct Place {\n/// Where.\npub at: u8,\n/// Hidden.\nsize: u8,\n}
        /// A way that a packet takes.\npub struct Way;
        /// Short.\n#[derive(clap::Args)]\npub struct Options;";
    assert_eq!(
        found(names::fragments, &[("host", text)]),
        ["host:2: `Place`: A place.", "host:4: `at`: Where."]
    );
}

#[test]
fn what_is_long_is_found() {
    let longest = format!("fn long() {{\n{}}}\n", "\n".repeat(78));
    assert_eq!(found(sizes::long_functions, &[("host", &longest)]), [""; 0]);
    let longer = format!("mod inner {{\nfn long() {{\n{}}}\n}}", "\n".repeat(79));
    assert_eq!(found(sizes::long_functions, &[("host", &longer)]), [""; 0]);
    let longer = format!(
        "struct Any;\nimpl Any {{\nfn long() {{\n{}}}\n}}",
        "\n".repeat(79)
    );
    assert_eq!(
        found(sizes::long_functions, &[("host", &longer)]),
        ["host:3: `long` has 81 lines"]
    );
    assert_eq!(
        found(
            sizes::long_files,
            &[("host", &"\n".repeat(401)), ("kernel", &"\n".repeat(400))]
        ),
        ["host:1: 401 lines"]
    );
}

#[test]
fn a_bool_is_found() {
    let text =
        "fn a(loud: bool) {}\ntrait B { fn b(&self, n: u8, loud: bool); }\nfn c() -> bool { true }";
    assert_eq!(
        found(sizes::bool_parameters, &[("host", text)]),
        ["host:1: `a`", "host:2: `b`"]
    );
}

#[test]
fn a_threshold_without_a_word_is_found() {
    let text =
        "const LIMIT_BYTES: u32 = 1;\n/// A choice: it costs nothing.\nconst MOST: usize = 2;
        const AF_INET: u8 = 2;\nconst PATIENCE: Duration = Duration::from_secs(1);
        fn wait() { sleep(Duration::from_millis(50)); sleep(Duration::from_millis(MOST)); }";
    assert_eq!(
        found(thresholds::unexplained, &[("host", text)]),
        [
            "host:1: `LIMIT_BYTES` has no comment",
            "host:5: `PATIENCE` has no comment",
            "host:6: a time without a name",
        ]
    );
}
