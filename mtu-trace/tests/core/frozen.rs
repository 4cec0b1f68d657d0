//! What the program says of kept captures, whole and in every form: the judge of changes that are to
//! change nothing. `INSTA_UPDATE=always cargo test` writes the texts anew, which only a decided
//! difference justifies.
//!
//! Besides the captures of `golden` there are those of the scenario matrix, with all scenarios side by
//! side: `matrix` with every hook, and one without each of those that a trace can do without. They were
//! recorded by version 0.1.0 on Linux 6.18.44, by `MTU_TRACE_MATRIX_CAPTURE`, and compressed with
//! `zstd -19`. What is long is kept compressed as well: `mtu-trace report --format json` of those without
//! a hook, and the matrix's events.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::{Settings, assert_snapshot};
use mtu_trace::testing::{
    Audit, Circumstances, EventKind, Finding, Firewalls, PlannedNetwork, Reader, Topology, capture,
};

use super::reports;

const SMALL: [&str; 8] = [
    "discovered",
    "discovered-2",
    "filtered",
    "filtered-2",
    "kernel-5.10",
    "kernel-6.1",
    "kernel-6.12",
    "kernel-7.x",
];
const WITHOUT: [&str; 6] = [
    "without-icmp-icmp_send",
    "without-skb-kfree_skb",
    "without-sock-inet_sock_set_state",
    "without-tc-egress",
    "without-tc-ingress",
    "without-tcp-tcp_retransmit_skb",
];

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/core")
        .join(path)
}

fn capture_of(name: &str) -> PathBuf {
    let directory = if SMALL.contains(&name) {
        "golden"
    } else {
        "frozen"
    };
    own(&format!("{directory}/{name}.pcapng.zst"))
}

/// What a command prints of a capture.
fn printed(command: &str, name: &str, format: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mtu-trace"))
        .args([command, "--format", format])
        .arg(capture_of(name))
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

fn kept(name: &str, text: &str) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(own("frozen"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_snapshot!(name, text));
}

#[test]
fn reports_of_captures() {
    for name in SMALL {
        for format in ["json", "ndjson", "markdown"] {
            kept(
                &format!("{name}.{format}"),
                &printed("report", name, format),
            );
        }
    }
    for format in ["json", "markdown", "text"] {
        kept(
            &format!("matrix.{format}"),
            &printed("report", "matrix", format),
        );
    }
}

#[test]
fn events_of_captures() {
    for name in SMALL {
        kept(
            &format!("{name}.events.csv"),
            &printed("export", name, "csv"),
        );
    }
    // One of each version: the others have the same events.
    for name in ["filtered", "discovered-2"] {
        kept(
            &format!("{name}.events.ndjson"),
            &printed("export", name, "ndjson"),
        );
    }
}

/// Compares what is printed with a text that is kept compressed.
fn compressed(name: &str, text: &str) {
    let file = fs::File::open(own(&format!("frozen/{name}.zst"))).unwrap();
    let mut expected = String::new();
    ruzstd::decoding::StreamingDecoder::new(file)
        .unwrap()
        .read_to_string(&mut expected)
        .unwrap();
    if text != expected {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let [wanted, found] =
            ["wanted", "found"].map(|which| directory.join(format!("{which}.{name}")));
        fs::write(&wanted, expected).unwrap();
        fs::write(&found, text).unwrap();
        panic!("diff {} {}", wanted.display(), found.display());
    }
}

#[test]
fn reports_without_a_hook() {
    for name in WITHOUT {
        compressed(&format!("{name}.json"), &printed("report", name, "json"));
    }
}

#[test]
fn events_of_the_matrix() {
    compressed("matrix.events.csv", &printed("export", "matrix", "csv"));
}

/// The network of a capture when most namespaces were there.
fn fullest(name: &str) -> Topology {
    let mut reader = Reader::new(capture::open(&capture_of(name)).unwrap()).unwrap();
    let mut fullest = Topology::default();
    let alive = |topology: &Topology| {
        let namespaces = topology.namespaces.values();
        namespaces.filter(|netns| !netns.gone).count()
    };
    while let Some(event) = reader.next_event() {
        if let EventKind::Topology(topology) = event.kind
            && alive(&topology) >= alive(&fullest)
        {
            fullest = (*topology).clone();
        }
    }
    fullest
}

fn audited(topology: &Topology) -> Vec<Finding> {
    let planned = PlannedNetwork::new(topology, &[]);
    Audit::new(&planned).findings(&Circumstances {
        firewalls: &Firewalls::new(),
        has_function: &|_| true,
        now_ns: 0,
    })
}

/// What `check` had said there, as far as it is told by the network alone.
#[test]
fn audits_of_captured_networks() {
    for name in ["filtered", "kernel-5.10", "matrix"] {
        let findings = audited(&fullest(name));
        kept(&format!("{name}.check.json"), &reports::json(findings));
    }
}

/// The manual pages name every command, option, hook and verdict, with their meaning.
#[test]
fn manual_and_explanations() {
    let printed = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mtu-trace"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    kept("explain", &printed(&["explain"]));
    let verdicts = mtu_trace::testing::Verdict::ALL;
    let each = verdicts.map(|verdict| printed(&["explain", verdict.name()]));
    kept("explain.verdicts", &each.join("\n"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man/frozen");
    let path = directory.to_str().unwrap();
    printed(&["man", "--output-dir", path]);
    let mut pages: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    let text: String = pages
        .iter()
        .map(|page| fs::read_to_string(page).unwrap())
        .collect();
    kept("man", &text);
}
