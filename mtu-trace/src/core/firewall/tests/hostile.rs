//! Rules that nobody sane writes: namespaces belong to containers.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::core::firewall::tests::*;

fn all_answers(firewall: &Firewall) {
    for hook in [
        NetfilterHook::Prerouting,
        NetfilterHook::Input,
        NetfilterHook::Forward,
        NetfilterHook::Output,
    ] {
        for packet in [message(hook), message_v6(hook)] {
            let _fate = firewall.fate(&packet);
            let opening = QueriedPacket {
                kind: Kind::Syn,
                ..packet
            };
            let _clamp = firewall.clamp(&opening);
        }
    }
}

fn chain(name: &str, base: bool, policy: &str) -> Value {
    let mut chain = json!({ "family": "inet", "table": "t", "name": name });
    if base {
        chain["type"] = "filter".into();
        chain["hook"] = "input".into();
        chain["prio"] = 0.into();
        chain["policy"] = policy.into();
    }
    json!({ "chain": chain })
}

fn rule(chain: &str, statements: &Value) -> Value {
    json!({ "rule": {
        "family": "inet", "table": "t", "chain": chain, "handle": 1, "expr": statements
    } })
}

fn table(objects: Vec<Value>) -> Firewall {
    let mut all = vec![json!({ "table": { "family": "inet", "name": "t" } })];
    all.extend(objects);
    nft(&json!({ "nftables": all }).to_string())
}

#[test]
fn circles_and_explosions_end_undecided() {
    let around = table(vec![
        chain("a", true, "accept"),
        rule("a", &json!([{ "jump": { "target": "a" } }])),
    ]);
    unknown(around.fate(&message(NetfilterHook::Input)));
    // Each chain calls the next four times: 4^16 rules.
    let mut objects = vec![chain("c0", true, "accept")];
    for level in 0..16 {
        objects.push(chain(&format!("c{}", level + 1), false, ""));
        for _ in 0..4 {
            let target = format!("c{}", level + 1);
            let jump = json!([{ "jump": { "target": target } }]);
            objects.push(rule(&format!("c{level}"), &jump));
        }
    }
    let why = unknown(table(objects).fate(&message(NetfilterHook::Input)));
    assert_eq!(why, "more rules than can be followed");
}

#[test]
fn huge_sets_end_undecided() {
    let numbers: Vec<u32> = (100..100_100).collect();
    let set = json!({ "set": { "family": "inet", "table": "t", "name": "s", "elem": numbers } });
    let lookup = json!([{ "match": { "op": "==", "right": "@s", "left":
        { "payload": { "protocol": "icmp", "field": "type" } } } }, { "drop": null }]);
    let mut objects = vec![set, chain("a", true, "accept")];
    objects.extend((0..15).map(|_| rule("a", &lookup)));
    let firewall = table(objects.clone());
    assert_eq!(firewall.fate(&message(NetfilterHook::Input)), Fate::Passes);
    objects.extend((0..10).map(|_| rule("a", &lookup)));
    let why = unknown(table(objects).fate(&message(NetfilterHook::Input)));
    assert_eq!(why, "more rules than can be followed");
}

#[test]
fn names_reach_neither_terminal_nor_shell() {
    let text = "*filter\n:INPUT ACCEPT\n:a;reboot -\n-A INPUT -j a;reboot\n-A a;reboot -j DROP\n";
    let blocking = dropped(saved(text, false).fate(&message(NetfilterHook::Input)));
    assert_eq!(
        blocking.commands,
        ["iptables -I 'a;reboot' 1 -p icmp --icmp-type fragmentation-needed -j ACCEPT"]
    );
    let text = text.replace("a;reboot", "\x1b[2J");
    let blocking = dropped(saved(&text, false).fate(&message(NetfilterHook::Input)));
    assert!(blocking.commands.is_empty());
    assert!(!blocking.place.contains('\x1b') && !blocking.rule.contains('\x1b'));
    let nasty = table(vec![
        chain("\x1b$(x)", true, "drop"),
        rule("\x1b$(x)", &json!([{ "counter": null }])),
    ]);
    let blocking = dropped(nasty.fate(&message(NetfilterHook::Input)));
    assert!(blocking.commands.is_empty() && !blocking.place.contains('\x1b'));
}

/// The words that rules are made of.
const WORDS: [&str; 61] = [
    "match",
    "left",
    "right",
    "op",
    "==",
    "!=",
    "in",
    "<",
    "payload",
    "protocol",
    "field",
    "icmp",
    "type",
    "code",
    "frag-needed",
    "ct",
    "key",
    "state",
    "related",
    "set",
    "vmap",
    "data",
    "@s",
    "*",
    "range",
    "prefix",
    "addr",
    "len",
    "10.0.0.0",
    "::",
    "concat",
    "&",
    "|",
    "meta",
    "l4proto",
    "tcp",
    "flags",
    "syn",
    "mangle",
    "tcp option",
    "name",
    "maxseg",
    "size",
    "value",
    "rt",
    "mtu",
    "jump",
    "goto",
    "target",
    "a",
    "drop",
    "accept",
    "return",
    "xt",
    "limit",
    "elem",
    "val",
    "saddr",
    "ip",
    "iifname",
    "eth*",
];

/// JSON made of the words that rules are made of.
fn expression() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(&WORDS[..]);
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..140_u64).prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..4).prop_map(|pairs| {
                let pairs = pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(pairs.collect())
            }),
        ]
    })
}

fn comparison() -> impl Strategy<Value = Value> {
    (expression(), expression()).prop_map(|(left, right)| {
        json!({ "match": { "op": "==", "left": { "&": [
            { "payload": { "protocol": "ip", "field": "saddr" } }, left
        ] }, "right": right } })
    })
}

proptest! {
    #[test]
    fn any_rules_get_an_answer(
        statements in prop::collection::vec(prop_oneof![expression(), comparison()], 0..6),
        elements in expression(),
    ) {
        let set = json!({ "set": { "family": "inet", "table": "t", "name": "s", "elem": elements } });
        let firewall = table(vec![
            set, chain("a", true, "drop"), rule("a", &Value::from(statements)),
        ]);
        all_answers(&firewall);
        let _fits = nft::may_be_of_iptables(&firewall.tables[0]);
    }

    #[test]
    fn any_prefix_length_gets_an_answer(length in any::<u64>(), small in 0..140_u64) {
        for length in [length, small] {
            let right = json!({ "prefix": { "addr": "10.0.0.0", "len": length } });
            let rule_ = json!([{ "match": { "op": "==", "right": right, "left":
                { "payload": { "protocol": "ip", "field": "saddr" } } } }, { "drop": null }]);
            all_answers(&table(vec![chain("a", true, "accept"), rule("a", &rule_)]));
            let text = format!("*filter\n:INPUT ACCEPT\n-A INPUT -s 10.0.0.0/{length} -j DROP\n");
            all_answers(&saved(&text, false));
        }
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ruleset = nft::parse(&bytes);
        all_answers(&saved(&String::from_utf8_lossy(&bytes), false));
    }

    #[test]
    fn any_options_get_an_answer(words in prop::collection::vec(prop::sample::select(vec![
        "-A", "INPUT", "!", "-p", "-s", "-d", "-i", "-m", "-j", "-g", "icmp", "--icmp-type", "3/4",
        "/", "10.0.0.0/33", "--tcp-flags", "ALL", "SYN", "--mss", ":", "TCPMSS", "--set-mss",
        "\"", "\\", "--comment", "eth+", "+", "DROP", "CT", "--notrack", "a",
    ]), 0..12)) {
        let text = format!("*filter\n:INPUT DROP\n:a -\n-A INPUT {}\n", words.join(" "));
        all_answers(&saved(&text, false));
    }
}
