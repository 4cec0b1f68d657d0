//! Rules of nftables, as `nft -j list ruleset` prints them.

pub(crate) mod eval;
pub(crate) mod operand;
pub(crate) mod ruleset;
pub(crate) mod text;
pub(crate) mod value;

pub use crate::core::firewall::nft::ruleset::Ruleset;
#[cfg(test)]
pub use crate::core::firewall::nft::text::rule_text;
