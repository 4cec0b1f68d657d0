//! A rule in `nft`'s own language, for showing it.
//!
//! Close to what `nft list ruleset` prints; what is not known is shown as the JSON it came in.

use serde_json::Value;

use crate::core::firewall::nft::operand::single;

/// How deep expressions are followed; the rest is shown as it came.
const DEPTH: usize = 8;

/// The rule in one line, counters without their values.
pub fn rule_text(statements: &[Value], comment: Option<&str>) -> String {
    let comment = comment.map(|comment| format!("comment \"{comment}\""));
    let words: Vec<String> = statements.iter().map(statement).chain(comment).collect();
    words.join(" ")
}

fn statement(statement: &Value) -> String {
    let Some((kind, inner)) = single(statement) else {
        return statement.to_string();
    };
    let word = |key: &str| inner[key].as_str();
    let side = |key: &str| expression(&inner[key], 0);
    match kind {
        "match" => {
            let operator = match word("op") {
                Some("==" | "in") | None => match single(&inner["left"]) {
                    Some(("&", _)) => "== ",
                    _ => "",
                },
                Some(operator) => &format!("{operator} "),
            };
            format!("{} {operator}{}", side("left"), side("right"))
        }
        "counter" | "log" | "notrack" | "masquerade" => kind.to_owned(),
        "accept" | "drop" | "return" | "continue" => kind.to_owned(),
        "reject" => match (word("type"), word("expr")) {
            (Some("tcp reset"), _) => "reject with tcp reset".to_owned(),
            (Some(kind), Some(code)) => format!("reject with {kind} type {code}"),
            _ => "reject".to_owned(),
        },
        "jump" | "goto" => format!("{kind} {}", word("target").unwrap_or("?")),
        "vmap" => format!("{} vmap {}", side("key"), side("data")),
        "mangle" => format!("{} set {}", side("key"), side("value")),
        "xt" => {
            let [kind, name] = ["type", "name"].map(|key| word(key).unwrap_or("?"));
            format!("xt {kind} {name}")
        }
        _ => statement.to_string(),
    }
}

fn expression(value: &Value, depth: usize) -> String {
    known(value, depth).unwrap_or_else(|| value.to_string())
}

fn known(value: &Value, depth: usize) -> Option<String> {
    if depth > DEPTH {
        return None;
    }
    let inside = |value: &Value| expression(value, depth + 1);
    let joined = |items: &[Value], by: &str| {
        let shown: Vec<String> = items.iter().map(inside).collect();
        shown.join(by)
    };
    let (kind, inner) = match value {
        Value::String(word) => return Some(word.clone()),
        Value::Array(flags) if depth == 0 || flags.iter().all(Value::is_string) => {
            return Some(joined(flags, ","));
        }
        // An element of a map.
        Value::Array(pair) => {
            let [key, verdict] = pair.as_slice() else {
                return None;
            };
            return Some(format!("{} : {}", inside(key), statement(verdict)));
        }
        _ => single(value)?,
    };
    let word = |key: &str| inner[key].as_str();
    Some(match (kind, inner) {
        ("payload", _) => format!("{} {}", word("protocol")?, word("field")?),
        ("tcp option", _) => match (word("name")?, word("field")) {
            (name, Some(field)) => format!("tcp option {name} {field}"),
            (name, None) => format!("tcp option {name}"),
        },
        // `meta` is left out where `nft` does.
        ("meta", _) => match word("key")? {
            key @ ("iif" | "oif" | "iifname" | "oifname" | "pkttype") => key.to_owned(),
            key => format!("meta {key}"),
        },
        ("ct" | "rt", _) => format!("{kind} {}", word("key")?),
        ("numgen", _) => {
            let offset = inner["offset"].as_u64().filter(|&offset| offset > 0);
            let offset = offset.map_or_else(String::new, |offset| format!(" offset {offset}"));
            format!("numgen {} mod {}{offset}", word("mode")?, inner["mod"])
        }
        ("prefix", _) => format!("{}/{}", inside(&inner["addr"]), inner["len"]),
        ("range", Value::Array(ends)) => joined(ends, "-"),
        ("concat", Value::Array(parts)) => joined(parts, " . "),
        ("set", Value::Array(elements)) => format!("{{ {} }}", joined(elements, ", ")),
        ("set", element) => format!("{{ {} }}", inside(element)),
        ("|", Value::Array(flags)) => joined(flags, " | "),
        ("&", Value::Array(sides)) => {
            let [left, mask] = sides.as_slice() else {
                return None;
            };
            format!("{} & ({})", inside(left), inside(mask))
        }
        _ => return None,
    })
}
