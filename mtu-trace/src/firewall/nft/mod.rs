//! Rules of nftables, as `nft -j list ruleset` prints them.

mod eval;
mod operand;
mod ruleset;
mod text;
mod value;

pub use ruleset::Ruleset;
#[cfg(test)]
pub use text::rule_text;
