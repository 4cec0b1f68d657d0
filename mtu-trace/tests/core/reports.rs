//! The report as people and as programs read it. The wanted texts are in `snapshots/`; `INSTA_UPDATE=
//! always cargo test` writes them anew.

use insta::assert_snapshot;
use mtu_trace::testing::{Capture, Clock, Evictions, Finding, Format, Report, SCHEMA, Style};
use serde_json::{Map, Value};

use super::black_hole::{filtered_events, silent_events};
use super::network::{ROUTED, VETH};
use super::packet::Places;
use super::path_mtu::healthy_events;
use super::recording::hooks;
use super::scenario::{START_NS, run};

/// A report of four seconds with made-up surroundings.
pub fn report(findings: Vec<Finding>) -> Report {
    let wall = "2026-03-04T05:06:07Z".parse().unwrap();
    Report {
        capture: Capture {
            started: wall,
            duration_s: 4.0,
            kernel: "6.18.44".to_owned(),
            hostname: "node-1".to_owned(),
            tool_version: "0.1.0".to_owned(),
            selection: None,
            hooks: hooks(),
            events: 73,
            lost_events: 0,
            evictions: Evictions::default(),
            notes: Vec::new(),
        },
        findings,
        clock: Clock {
            wall,
            monotonic_ns: START_NS,
        },
        audit: None,
    }
}

fn written(findings: Vec<Finding>, format: Format) -> String {
    let mut bytes = Vec::new();
    let report = report(findings);
    report.write(&mut bytes, format, &Style::PLAIN).unwrap();
    String::from_utf8(bytes).unwrap()
}

pub fn json(findings: Vec<Finding>) -> String {
    written(findings, Format::JSON)
}

pub fn text(findings: Vec<Finding>) -> String {
    written(findings, Format::TEXT)
}

fn filtered() -> Vec<Finding> {
    run(filtered_events(&Places::new(ROUTED)), 4000).findings()
}

fn healthy() -> Vec<Finding> {
    run(healthy_events(&Places::new(ROUTED), 2), 4000).findings()
}

fn silent() -> Vec<Finding> {
    run(silent_events(VETH, Places::veth), 4000).findings()
}

#[test]
fn filtered_message() {
    assert_snapshot!("filtered_text", text(filtered()));
    assert_snapshot!("filtered_json", json(filtered()));
}

#[test]
fn working_discovery() {
    assert_snapshot!("healthy_text", text(healthy()));
    assert_snapshot!("healthy_json", json(healthy()));
}

#[test]
fn silent_hole() {
    assert_snapshot!("silent_text", text(silent()));
    assert_snapshot!("silent_json", json(silent()));
}

#[test]
fn nothing_found() {
    assert_snapshot!("empty_text", text(Vec::new()));
    assert_snapshot!("empty_json", json(Vec::new()));
}

#[test]
fn plain_text_has_no_escape_sequence_and_keeps_its_width() {
    for findings in [filtered(), healthy(), silent(), Vec::new()] {
        let text = text(findings);
        assert!(!text.contains('\u{1b}'));
        for line in text.lines().filter(|line| !line.contains("# ")) {
            let columns = line.chars().count();
            assert!(columns <= Style::PLAIN.width, "{columns}: {line}");
            assert_eq!(line.trim_end(), line);
        }
    }
}

/// Types a key may have.
const BOOL: &str = "bool";
const NUMBER: &str = "number";
const TEXT: &str = "string";
const LIST: &str = "list";
const OBJECT: &str = "object";
const NULL: &str = "null";
/// RFC 3339.
const TIME: &str = "time";

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        BOOL => value.is_boolean(),
        NUMBER => value.is_number(),
        TEXT => value.is_string(),
        LIST => value.is_array(),
        OBJECT => value.is_object(),
        NULL => value.is_null(),
        TIME => value
            .as_str()
            .is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        _ => false,
    }
}

/// That an object has each key with one of its types.
#[track_caller]
fn has(value: &Value, keys: &[(&str, &[&str])]) {
    let object: &Map<String, Value> = value.as_object().unwrap();
    for (key, kinds) in keys {
        let found = object
            .get(*key)
            .unwrap_or_else(|| panic!("no key {key} in {value:#}"));
        assert!(kinds.iter().any(|kind| is(found, kind)), "{key}: {found:#}");
    }
}

fn netns(value: &Value) {
    has(
        value,
        &[
            ("inode", &[NUMBER]),
            ("cookie", &[NUMBER, NULL]),
            ("name", &[TEXT, NULL]),
            ("container", &[OBJECT, NULL]),
        ],
    );
    let container = &value["container"];
    if container.is_object() {
        has(
            container,
            &[
                ("id", &[TEXT]),
                ("name", &[TEXT, NULL]),
                ("image", &[TEXT, NULL]),
                ("runtime", &[TEXT]),
                ("parent", &[OBJECT, NULL]),
                ("pod", &[TEXT, NULL]),
            ],
        );
        if container["parent"].is_object() {
            netns(&container["parent"]);
        }
    }
}

fn finding(value: &Value) {
    has(
        value,
        &[
            ("id", &[TEXT]),
            ("verdict", &[TEXT]),
            ("severity", &[TEXT]),
            ("confidence", &[TEXT]),
            ("summary", &[TEXT]),
            ("ongoing", &[BOOL]),
            ("first_seen", &[TIME]),
            ("detected_at", &[TIME]),
            ("last_seen", &[TIME]),
            ("connections", &[NUMBER]),
            ("connection", &[OBJECT]),
            ("boundary", &[OBJECT]),
            ("pmtud", &[OBJECT]),
            ("evidence", &[OBJECT]),
            ("path", &[LIST]),
            ("fixes", &[LIST]),
        ],
    );
    connection(&value["connection"]);
    boundary(&value["boundary"]);
    pmtud(&value["pmtud"]);
    has(
        &value["evidence"],
        &[
            ("oversized_drops", &[NUMBER]),
            ("retransmits", &[NUMBER]),
            ("max_backoff", &[NUMBER]),
            ("stalled_ms", &[NUMBER]),
        ],
    );
    for hop in value["path"].as_array().unwrap() {
        has(
            hop,
            &[
                ("netns", &[OBJECT]),
                ("interface", &[TEXT]),
                ("mtu_bytes", &[NUMBER]),
                ("kind", &[TEXT]),
            ],
        );
        netns(&hop["netns"]);
    }
    for fix in value["fixes"].as_array().unwrap() {
        has(
            fix,
            &[
                ("title", &[TEXT]),
                ("detail", &[TEXT]),
                ("commands", &[LIST]),
            ],
        );
    }
}

fn connection(value: &Value) {
    has(
        value,
        &[
            ("protocol", &[TEXT]),
            ("local", &[OBJECT]),
            ("remote", &[OBJECT]),
            ("direction", &[TEXT]),
            ("translated", &[LIST]),
        ],
    );
    for end in [&value["local"], &value["remote"]] {
        has(
            end,
            &[
                ("address", &[TEXT]),
                ("port", &[NUMBER]),
                ("netns", &[OBJECT, NULL]),
            ],
        );
        netns(&end["netns"]);
    }
}

fn boundary(value: &Value) {
    has(
        value,
        &[
            ("netns", &[OBJECT]),
            ("ingress", &[TEXT, NULL]),
            ("egress", &[TEXT, NULL]),
            ("limit_bytes", &[NUMBER]),
            ("packet_bytes", &[NUMBER]),
            ("function", &[TEXT]),
            ("reason", &[TEXT]),
            ("silent", &[BOOL]),
        ],
    );
    netns(&value["netns"]);
}

fn pmtud(value: &Value) {
    has(
        value,
        &[
            ("signalled", &[BOOL]),
            ("delivered", &[BOOL, NULL]),
            ("blocked_at", &[OBJECT, NULL]),
        ],
    );
    let blocked = &value["blocked_at"];
    if blocked.is_object() {
        has(blocked, &[("netns", &[OBJECT]), ("hook", &[TEXT, NULL])]);
        netns(&blocked["netns"]);
    }
}

#[test]
fn every_promised_key_is_there() {
    for findings in [filtered(), healthy(), silent()] {
        let report: Value = serde_json::from_str(&json(findings)).unwrap();
        has(&report, &[("capture", &[OBJECT]), ("findings", &[LIST])]);
        assert_eq!(report["schema"], SCHEMA);
        has(
            &report["capture"],
            &[
                ("started", &[TIME]),
                ("duration_s", &[NUMBER]),
                ("kernel", &[TEXT]),
                ("hostname", &[TEXT]),
                ("tool_version", &[TEXT]),
                ("hooks", &[LIST]),
                ("events", &[NUMBER]),
                ("lost_events", &[NUMBER]),
            ],
        );
        for hook in report["capture"]["hooks"].as_array().unwrap() {
            has(
                hook,
                &[
                    ("hook", &[TEXT]),
                    ("mechanism", &[TEXT]),
                    ("attached", &[BOOL]),
                    ("detail", &[TEXT, NULL]),
                ],
            );
        }
        let found = report["findings"].as_array().unwrap();
        assert_eq!(found.len(), 1);
        finding(&found[0]);
        assert!(!found[0]["path"].as_array().unwrap().is_empty());
    }
}

#[test]
fn every_line_of_ndjson_is_an_object_of_its_own() {
    let lines = written(filtered(), Format::LINES);
    let objects: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&Value> = objects.iter().map(|object| &object["type"]).collect();
    assert_eq!(types, ["capture", "finding"]);
    assert_eq!(objects[0]["schema"], SCHEMA);
    finding(&objects[1]);
}
