//! Rules of iptables, as `iptables-save` prints them.

pub(crate) mod eval;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::core::firewall::engine::BaseChain;
pub use crate::core::firewall::iptables::eval::is_harmless;
use crate::core::firewall::packet::{Facts, Kind, NetfilterHook};

/// One table of one family.
#[derive(Debug)]
pub struct IptablesTable {
    /// Its name, such as `filter`.
    pub name: String,
    pub v6: bool,
    /// Without `-save`: `iptables`, `ip6tables-legacy`.
    pub tool: String,
    chains: BTreeMap<String, Chain>,
}

#[derive(Debug, Default)]
struct Chain {
    drops: bool,
    rules: Vec<IptablesRule>,
}

#[derive(Debug)]
struct IptablesRule {
    /// As printed, without its counters.
    text: String,
    /// What follows the chain's name.
    words: Vec<String>,
}

/// What a tool printed.
#[derive(Debug, Default)]
pub struct Saved {
    pub tables: Vec<IptablesTable>,
    /// Those it says it cannot print.
    pub incompatible: Vec<String>,
}

/// Takes in what `iptables-save` or a variant of it printed; other lines than it knows are skipped.
pub fn parse(text: &str, tool: &str, v6: bool) -> Saved {
    let mut saved = Saved::default();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            saved.tables.push(IptablesTable {
                name: name.trim().to_owned(),
                v6,
                tool: tool.to_owned(),
                chains: BTreeMap::new(),
            });
        } else if let Some(warning) = line.strip_prefix("# Table `") {
            let name = warning.split('\'').next().unwrap_or_default();
            saved.incompatible.push(name.to_owned());
        } else if let Some(table) = saved.tables.last_mut() {
            table.add(line);
        }
    }
    saved
}

impl IptablesTable {
    fn add(&mut self, line: &str) {
        if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let name = words.next().unwrap_or_default();
            let drops = words.next() == Some("DROP");
            self.chains.entry(name.to_owned()).or_default().drops = drops;
            return;
        }
        // `-c` puts packets and bytes before each rule.
        let rule = match line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
        {
            Some((_, rule)) => rule,
            None => line,
        };
        if !rule.starts_with("-A ") {
            return;
        }
        let mut words = split(rule).into_iter().skip(1);
        let Some(chain) = words.next() else {
            return;
        };
        let rule = IptablesRule {
            text: rule.to_owned(),
            words: words.collect(),
        };
        self.chains.entry(chain).or_default().rules.push(rule);
    }

    /// The chain that sees a packet at its hook, with its priority.
    pub fn base(&self, facts: &Facts<'_>) -> Option<(i64, BaseChain<'_>)> {
        let priority = match (self.name.as_str(), facts.hook) {
            ("raw", _) => -300,
            ("mangle", _) => -150,
            // Translation sees the first packet of a connection, never a message about one.
            ("nat", _) if facts.packet.kind == Kind::PacketTooBig => return None,
            ("nat", NetfilterHook::Prerouting | NetfilterHook::Output) => -100,
            ("nat", _) => 100,
            ("filter", _) => 0,
            ("security", _) => 50,
            _ => return None,
        };
        let (name, chain) = self.chains.get_key_value(facts.hook.name())?;
        let chain = BaseChain {
            rules: Box::new(self),
            name,
            policy_drops: chain.drops,
        };
        (self.v6 == facts.v6).then_some((priority, chain))
    }
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

/// Whether an address is of a network written `10.0.0.0/8`, `10.0.0.0/255.0.255.0` or without an
/// end. `None` for what is neither.
fn is_within(address: IpAddr, network: &str) -> Option<bool> {
    let (network, mask) = network.split_once('/').unwrap_or((network, ""));
    let (address, network, width) = match (address, network.parse().ok()?) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (
            u128::from(address.to_bits()),
            u128::from(network.to_bits()),
            32,
        ),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return None,
    };
    let mask = match mask.parse::<u32>() {
        Ok(length) => {
            let host: u32 = u32::checked_sub(width, length)?;
            u128::MAX.checked_shl(host).unwrap_or(0)
        }
        Err(_) if mask.is_empty() => u128::MAX,
        Err(_) => match mask.parse().ok()? {
            IpAddr::V4(mask) => u128::from(mask.to_bits()),
            IpAddr::V6(mask) => mask.to_bits(),
        },
    };
    Some((address ^ network) & mask == 0)
}
