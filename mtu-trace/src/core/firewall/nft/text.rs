//! A rule in `nft`'s own language, for showing it.
//!
//! Close to what `nft list ruleset` prints; what is not known is shown as the JSON it came in.

use serde_json::Value;

use crate::core::firewall::nft::operand::single;
use crate::core::firewall::nft::ruleset::NftRule;

/// How deep expressions are followed; the rest is shown as it came.
const DEPTH: usize = 8;

/// The rule in one line, counters without their values.
pub fn rule_text(rule: &NftRule) -> String {
    let mut words: Vec<String> = rule.statements.iter().map(statement).collect();
    if let Some(comment) = &rule.comment {
        words.push(format!("comment \"{comment}\""));
    }
    words.join(" ")
}

fn statement(statement: &Value) -> String {
    let Some((kind, inner)) = single(statement) else {
        return statement.to_string();
    };
    match kind {
        "match" => {
            let operator = match inner["op"].as_str() {
                Some("==" | "in") | None => String::new(),
                Some(operator) => format!("{operator} "),
            };
            let left = expression(&inner["left"], 0);
            let implied = match single(&inner["left"]) {
                Some(("&", _)) if operator.is_empty() => "== ",
                _ => &operator,
            };
            format!("{left} {implied}{}", expression(&inner["right"], 0))
        }
        "counter" | "log" | "notrack" | "masquerade" => kind.to_owned(),
        "accept" | "drop" | "return" | "continue" => kind.to_owned(),
        "reject" => match (inner["type"].as_str(), inner["expr"].as_str()) {
            (Some("tcp reset"), _) => "reject with tcp reset".to_owned(),
            (Some(kind), Some(code)) => format!("reject with {kind} type {code}"),
            _ => "reject".to_owned(),
        },
        "jump" | "goto" => format!("{kind} {}", inner["target"].as_str().unwrap_or("?")),
        "vmap" => format!(
            "{} vmap {}",
            expression(&inner["key"], 0),
            expression(&inner["data"], 0)
        ),
        "mangle" => format!(
            "{} set {}",
            expression(&inner["key"], 0),
            expression(&inner["value"], 0)
        ),
        "xt" => format!(
            "xt {} {}",
            inner["type"].as_str().unwrap_or("?"),
            inner["name"].as_str().unwrap_or("?")
        ),
        _ => statement.to_string(),
    }
}

fn expression(value: &Value, depth: usize) -> String {
    let inside = |value: &Value| expression(value, depth + 1);
    let joined = |items: &[Value], by: &str| {
        let shown: Vec<String> = items.iter().map(inside).collect();
        shown.join(by)
    };
    if depth > DEPTH {
        return value.to_string();
    }
    match value {
        Value::String(word) => word.clone(),
        Value::Array(flags) if depth == 0 || flags.iter().all(Value::is_string) => {
            joined(flags, ",")
        }
        // An element of a map.
        Value::Array(pair) => match pair.as_slice() {
            [key, verdict] => format!("{} : {}", inside(key), statement(verdict)),
            _ => value.to_string(),
        },
        _ => match single(value) {
            Some(("payload" | "tcp option" | "meta" | "ct" | "rt", inner)) => named(value, inner),
            Some(("prefix", inner)) => format!("{}/{}", inside(&inner["addr"]), inner["len"]),
            Some(("range", Value::Array(ends))) => joined(ends, "-"),
            Some(("concat", Value::Array(parts))) => joined(parts, " . "),
            Some(("set", Value::Array(elements))) => format!("{{ {} }}", joined(elements, ", ")),
            Some(("set", element)) => format!("{{ {} }}", inside(element)),
            Some(("|", Value::Array(flags))) => joined(flags, " | "),
            Some(("&", Value::Array(sides))) => match sides.as_slice() {
                [left, mask] => format!("{} & ({})", inside(left), inside(mask)),
                _ => value.to_string(),
            },
            _ => value.to_string(),
        },
    }
}

/// A field of the packet or of what the kernel knows about it.
fn named(whole: &Value, inner: &Value) -> String {
    let word = |key: &str| inner[key].as_str();
    match single(whole) {
        Some(("payload", _)) => match (word("protocol"), word("field")) {
            (Some(protocol), Some(field)) => format!("{protocol} {field}"),
            _ => whole.to_string(),
        },
        Some(("tcp option", _)) => match (word("name"), word("field")) {
            (Some(name), Some(field)) => format!("tcp option {name} {field}"),
            (Some(name), None) => format!("tcp option {name}"),
            _ => whole.to_string(),
        },
        // `meta` is left out where `nft` does.
        Some(("meta", _)) => match word("key") {
            Some(key @ ("iif" | "oif" | "iifname" | "oifname" | "pkttype")) => key.to_owned(),
            Some(key) => format!("meta {key}"),
            None => whole.to_string(),
        },
        Some((kind, _)) => match word("key") {
            Some(key) => format!("{kind} {key}"),
            None => whole.to_string(),
        },
        None => whole.to_string(),
    }
}
