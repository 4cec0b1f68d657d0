//! Policy routing rules, as `RTM_GETRULE` tells them.

use netlink_packet_core::parse_u32;

use crate::base::netlink::{attributes, ip_address, string};
use crate::base::text::printable;
use crate::host::watcher::routes::{Family, IPV6};
use crate::model::network::PolicyRule;

/// Size of `struct fib_rule_hdr`; what follows is of `linux/fib_rules.h`.
const HEADER_BYTES: usize = 12;
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FLOW: u16 = 11;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_OIFNAME: u16 = 17;
const FRA_PAD: u16 = 18;
const FRA_L3MDEV: u16 = 19;
const FRA_PROTOCOL: u16 = 21;
/// What `FRA_SUPPRESS_PREFIXLEN` is, which is always told, if nothing is suppressed.
const NOTHING: u32 = u32::MAX;

/// Reads an `RTM_NEWRULE`. What is not known to be no condition is taken for one.
pub(crate) fn rule(family: Family, payload: &[u8]) -> Option<PolicyRule> {
    let &[found, destination_len, source_len, tos, table, _, _, action] =
        payload.get(..8)?.as_array()?;
    let flags = parse_u32(payload.get(8..HEADER_BYTES)?).ok()?;
    if found != family.number {
        return None;
    }
    let mut rule = PolicyRule {
        ipv6: family == IPV6,
        // With this flag the conditions must not be met.
        conditional: tos != 0 || flags & FIB_RULE_INVERT != 0,
        ..PolicyRule::default()
    };
    let mut table = u32::from(table);
    let prefix = |value: &[u8], len| family.prefix(ip_address(value)?, len);
    for nla in attributes(payload.get(HEADER_BYTES..)?) {
        let value = nla.value();
        match nla.kind() {
            FRA_PRIORITY => rule.priority = parse_u32(value).ok()?,
            FRA_TABLE => table = parse_u32(value).ok()?,
            FRA_SRC => rule.source = Some(prefix(value, source_len)?),
            FRA_DST => rule.destination = Some(prefix(value, destination_len)?),
            FRA_IIFNAME => rule.iif = Some(printable(string(value))),
            FRA_OIFNAME => rule.oif = Some(printable(string(value))),
            FRA_L3MDEV => rule.l3mdev = value.first().is_some_and(|&set| set != 0),
            FRA_SUPPRESS_PREFIXLEN => {
                rule.conditional |= parse_u32(value).ok() != Some(NOTHING);
            }
            // Where a rule leads, and who has made it.
            FRA_GOTO | FRA_FLOW | FRA_PAD | FRA_PROTOCOL => {}
            _ => rule.conditional = true,
        }
    }
    rule.table = Some(table).filter(|&table| action == FR_ACT_TO_TBL && table != 0);
    Some(rule)
}
