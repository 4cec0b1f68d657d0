//! Rules of iptables, as `iptables-save` prints them.

pub(crate) mod eval;

use crate::core::firewall::table::{BaseChain, Chain, FirewallRule, FirewallTable, RuleBody};

/// What a tool printed.
#[derive(Debug, Default)]
pub struct Saved {
    pub tables: Vec<FirewallTable>,
    /// Those it says it cannot print.
    pub incompatible: Vec<String>,
}

/// Takes in what `iptables-save` or a variant of it printed for a family, `ip` or `ip6`; other lines
/// than it knows are skipped.
pub fn parse(text: &str, tool: &str, family: &str) -> Saved {
    let mut saved = Saved::default();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            saved.tables.push(FirewallTable {
                family: family.to_owned(),
                name: name.trim().to_owned(),
                iptables: Some(tool.to_owned()),
                ..FirewallTable::default()
            });
        } else if let Some(warning) = line.strip_prefix("# Table `") {
            let name = warning.split('\'').next().unwrap_or_default();
            saved.incompatible.push(name.to_owned());
        } else if let Some(table) = saved.tables.last_mut() {
            add(table, line);
        }
    }
    saved
}

fn add(table: &mut FirewallTable, line: &str) {
    if let Some(line) = line.strip_prefix(':') {
        let mut words = line.split_whitespace();
        let chain = chain(table, words.next().unwrap_or_default());
        if let Some(base) = &mut chain.base {
            base.drops = words.next() == Some("DROP");
        }
        return;
    }
    // `-c` puts packets and bytes before each rule.
    let counted = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let line = counted.map_or(line, |(_, rule)| rule);
    if !line.starts_with("-A ") {
        return;
    }
    let mut words = split(line).into_iter().skip(1);
    if let Some(name) = words.next() {
        let rules = &mut chain(table, &name).rules;
        rules.push(FirewallRule {
            number: rules.len() as u64 + 1,
            body: RuleBody::Iptables {
                line: line.to_owned(),
                words: words.collect(),
            },
        });
    }
}

/// A chain, made if it is not there yet. The kernel calls those that are named after its hooks.
fn chain<'t>(table: &'t mut FirewallTable, name: &str) -> &'t mut Chain {
    let kind = &table.name;
    table
        .chains
        .entry(name.to_owned())
        .or_insert_with(|| Chain {
            base: priority(kind, name).map(|priority| BaseChain {
                kind: kind.clone(),
                hook: name.to_owned(),
                priority,
                drops: false,
                devices: Vec::new(),
            }),
            rules: Vec::new(),
        })
}

/// When the kernel calls a chain of a table, if it calls it at all.
fn priority(table: &str, chain: &str) -> Option<i64> {
    let hooks = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
    Some(match (table, chain) {
        (_, chain) if !hooks.contains(&chain) => return None,
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", "PREROUTING" | "OUTPUT") => -100,
        ("nat", _) => 100,
        ("filter", _) => 0,
        ("security", _) => 50,
        _ => return None,
    })
}

/// The words of a line, with double quotes and backslashes inside of them.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(characters.next()),
            ' ' | '\t' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}
