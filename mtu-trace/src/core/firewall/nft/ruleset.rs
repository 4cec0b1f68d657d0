//! The parts of a ruleset that matter, taken out of `nft`'s JSON.
//!
//! A rule's expressions stay as they are: what is not understood in them is to be unknown, not an
//! error, and newer versions of `nft` say more.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::firewall::engine::BaseChain;
use crate::core::firewall::packet::{Facts, Kind};

/// All tables of a namespace that routed packets meet.
#[derive(Debug, Default)]
pub struct Ruleset {
    pub tables: Vec<NftTable>,
}

/// A table with its chains.
#[derive(Debug)]
pub struct NftTable {
    pub family: String,
    pub name: String,
    pub chains: BTreeMap<String, Chain>,
    /// Elements of named sets and maps.
    pub sets: BTreeMap<String, Vec<Value>>,
}

#[derive(Debug, Default)]
pub struct Chain {
    pub base: Option<Base>,
    pub rules: Vec<NftRule>,
}

/// Where the kernel calls a chain.
#[derive(Debug)]
pub struct Base {
    pub kind: String,
    pub hook: String,
    pub priority: i64,
    pub drops: bool,
}

#[derive(Debug)]
pub struct NftRule {
    pub handle: u64,
    pub statements: Vec<Value>,
    pub comment: Option<String>,
}

impl Ruleset {
    /// Takes in what `nft` printed.
    ///
    /// # Errors
    ///
    /// If it is not JSON, or not a ruleset.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let mut document: Value =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let Some(Value::Array(objects)) = document.get_mut("nftables").map(Value::take) else {
            return Err("it is not a list of rules".to_owned());
        };
        let mut ruleset = Self::default();
        for object in objects {
            let Value::Object(object) = object else {
                continue;
            };
            for (kind, value) in object {
                ruleset.add(&kind, value);
            }
        }
        Ok(ruleset)
    }

    fn add(&mut self, kind: &str, mut value: Value) {
        if kind == "table" {
            if let (Some(family), Some(name)) = (string(&value, "family"), string(&value, "name"))
                && matches!(family.as_str(), "ip" | "ip6" | "inet")
            {
                self.tables.push(NftTable {
                    family,
                    name,
                    chains: BTreeMap::new(),
                    sets: BTreeMap::new(),
                });
            }
            return;
        }
        let (Some(family), Some(table)) = (string(&value, "family"), string(&value, "table"))
        else {
            return;
        };
        let Some(table) = self.table(&family, &table) else {
            return;
        };
        match kind {
            "chain" => {
                if let Some(name) = string(&value, "name") {
                    table.chains.entry(name).or_default().base = base(&value);
                }
            }
            "rule" => {
                if let Some(chain) = string(&value, "chain") {
                    let rule = NftRule {
                        handle: value["handle"].as_u64().unwrap_or_default(),
                        comment: string(&value, "comment"),
                        statements: array(value.get_mut("expr")),
                    };
                    table.chains.entry(chain).or_default().rules.push(rule);
                }
            }
            "set" | "map" => {
                if let Some(name) = string(&value, "name") {
                    table.sets.insert(name, array(value.get_mut("elem")));
                }
            }
            _ => {}
        }
    }

    fn table(&mut self, family: &str, name: &str) -> Option<&mut NftTable> {
        // Objects of a table follow it.
        let is_it = |table: &&mut NftTable| table.family == family && table.name == name;
        self.tables.iter_mut().rev().find(is_it)
    }

    /// The chains that see a packet at its hook, with their priorities.
    pub fn base_chains(&self, facts: &Facts<'_>) -> Vec<(i64, BaseChain<'_>)> {
        let family = if facts.v6 { "ip6" } else { "ip" };
        let mut found = Vec::new();
        for table in &self.tables {
            if table.family != "inet" && table.family != family {
                continue;
            }
            for (name, chain) in &table.chains {
                let Some(base) = &chain.base else {
                    continue;
                };
                // Address translation sees the first packet of a connection, never a message
                // about one.
                let skipped = base.kind == "nat" && facts.packet.kind == Kind::PacketTooBig;
                if skipped || !base.hook.eq_ignore_ascii_case(facts.hook.name()) {
                    continue;
                }
                let chain = BaseChain {
                    rules: Box::new(table),
                    name,
                    policy_drops: base.drops,
                };
                found.push((base.priority, chain));
            }
        }
        found
    }
}

impl NftTable {
    /// Whether all rules can be ones that iptables wrote and prints in full. It leaves things out
    /// of others (measured, 1.8.9: `icmp type { … } drop` comes out as `-p icmp -j DROP`).
    pub fn may_be_of_iptables(&self) -> bool {
        let opaque = self.rules().any(|rule| rule.has("xt"));
        let counted = self.rules().all(|rule| rule.has("counter"));
        let lossless = self
            .rules()
            .all(|rule| !rule.statements.iter().any(uses_set));
        let built_in = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase());
        let named = self
            .chains
            .iter()
            .all(|(name, chain)| chain.base.is_none() || built_in(name));
        lossless && named && (opaque || counted)
    }

    fn rules(&self) -> impl Iterator<Item = &NftRule> {
        self.chains.values().flat_map(|chain| &chain.rules)
    }
}

impl NftRule {
    fn has(&self, statement: &str) -> bool {
        self.statements
            .iter()
            .any(|found| found.get(statement).is_some())
    }
}

/// Whether a statement looks something up: no translation of an iptables rule does.
fn uses_set(statement: &Value) -> bool {
    let Some(right) = statement.get("match").map(|found| &found["right"]) else {
        return statement.get("vmap").is_some();
    };
    right.get("set").is_some() || right.as_str().is_some_and(|name| name.starts_with('@'))
}

fn base(chain: &Value) -> Option<Base> {
    Some(Base {
        hook: string(chain, "hook")?,
        kind: string(chain, "type").unwrap_or_default(),
        priority: chain["prio"].as_i64().unwrap_or_default(),
        drops: chain["policy"].as_str() == Some("drop"),
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
