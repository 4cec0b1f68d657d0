//! Rules of nftables, as `nft -j list ruleset` prints them.
//!
//! A rule's expressions stay as they are: what is not understood in them is to be unknown, not an
//! error, and newer versions of `nft` say more.

pub(crate) mod eval;
pub(crate) mod operand;
pub(crate) mod text;
pub(crate) mod value;

use serde_json::Value;

use crate::core::firewall::nft::operand::text;
use crate::core::firewall::nft::value::set_name;
use crate::core::firewall::table::{BaseChain, FirewallRule, FirewallTable, RuleBody};

/// Takes all tables that IP packets meet, routed or in frames, out of what `nft` printed.
///
/// # Errors
///
/// If it is not JSON, or not a ruleset.
pub fn parse(json: &[u8]) -> Result<Vec<FirewallTable>, String> {
    let mut document: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let Some(Value::Array(objects)) = document.get_mut("nftables").map(Value::take) else {
        return Err("it is not a list of rules".to_owned());
    };
    let mut tables = Vec::new();
    for object in objects {
        if let Value::Object(object) = object {
            for (kind, value) in object {
                add(&mut tables, &kind, value);
            }
        }
    }
    Ok(tables)
}

/// Adds a table, or a part of one; `None` if it has no name or is of no table here.
fn add(tables: &mut Vec<FirewallTable>, kind: &str, mut value: Value) -> Option<()> {
    let family = string(&value, "family")?;
    if kind == "table" {
        if matches!(family.as_str(), "ip" | "ip6" | "inet" | "bridge" | "netdev") {
            tables.push(FirewallTable {
                family,
                name: string(&value, "name")?,
                ..FirewallTable::default()
            });
        }
        return Some(());
    }
    // Objects of a table follow it.
    let of = string(&value, "table")?;
    let is_it = |table: &&mut FirewallTable| table.family == family && table.name == of;
    let FirewallTable { chains, sets, .. } = tables.iter_mut().rev().find(is_it)?;
    match kind {
        "chain" => chains.entry(string(&value, "name")?).or_default().base = base(&value),
        "rule" => {
            let chain = chains.entry(string(&value, "chain")?).or_default();
            chain.rules.push(FirewallRule {
                number: value["handle"].as_u64().unwrap_or_default(),
                body: RuleBody::Nft {
                    comment: string(&value, "comment"),
                    statements: array(value.get_mut("expr")),
                },
            });
        }
        "set" | "map" => {
            sets.insert(string(&value, "name")?, array(value.get_mut("elem")));
        }
        _ => {}
    }
    Some(())
}

fn base(chain: &Value) -> Option<BaseChain> {
    Some(BaseChain {
        hook: string(chain, "hook")?,
        kind: text(chain, "type").to_owned(),
        priority: chain["prio"].as_i64().unwrap_or_default(),
        drops: text(chain, "policy") == "drop",
        devices: match &chain["dev"] {
            Value::String(device) => vec![device.clone()],
            Value::Array(devices) => devices
                .iter()
                .filter_map(|device| device.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        },
    })
}

fn string(object: &Value, key: &str) -> Option<String> {
    object.get(key)?.as_str().map(str::to_owned)
}

fn array(value: Option<&mut Value>) -> Vec<Value> {
    match value.map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Whether all rules of a table can be ones that iptables wrote and prints in full. It leaves things
/// out of others (measured, 1.8.9: `icmp type { … } drop` comes out as `-p icmp -j DROP`).
pub fn may_be_of_iptables(table: &FirewallTable) -> bool {
    let rules = || {
        let rules = table.chains.values().flat_map(|chain| &chain.rules);
        rules.filter_map(|rule| match &rule.body {
            RuleBody::Nft { statements, .. } => Some(statements),
            RuleBody::Iptables { .. } => None,
        })
    };
    let has = |statements: &Vec<Value>, kind| statements.iter().any(|it| it.get(kind).is_some());
    let built_in = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut chains = table.chains.iter();
    rules().flatten().all(|statement| !uses_set(statement))
        && chains.all(|(name, chain)| chain.base.is_none() || built_in(name))
        && (rules().any(|rule| has(rule, "xt")) || rules().all(|rule| has(rule, "counter")))
}

/// Whether a statement looks something up: no translation of an iptables rule does.
fn uses_set(statement: &Value) -> bool {
    match statement.get("match").map(|found| &found["right"]) {
        Some(right) => right.get("set").is_some() || set_name(right).is_some(),
        None => statement.get("vmap").is_some(),
    }
}
