//! Questions to the running kernel's BTF: where structure members are, what enum values mean.

use std::collections::BTreeMap;
use std::path::Path;

use btf::btf::{Btf, FlattenedType, Type};
use mtu_trace_common::layout::{ABSENT, MEMBERS, Member, extra};

/// Where the kernel shows its own BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// How deep anonymous structures are followed. A choice: no kernel nests them half as deep.
const MAX_DEPTH: usize = 8;

/// Why the kernel's BTF is of no use: it cannot be read, or lacks a member that nothing works without.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BtfError(String);

/// What the programs and the decoder need to know of the running kernel.
#[derive(Clone, Debug, Default)]
pub struct KernelTypes {
    /// The offset table, in the order of [`Member`] and [`extra`].
    pub table: Vec<u32>,
    /// Drop reasons by number, without their prefix.
    pub drop_reasons: BTreeMap<u32, String>,
}

/// Members whose absence costs a detail, not the tool.
const OPTIONAL: &[Member] = &[
    Member::DevPriv,
    Member::NetCookie,
    Member::TcpBytesAcked,
    Member::TcpBytesReceived,
    Member::TcpPacketsOut,
    Member::TcpSackedOut,
    Member::IcskPmtuCookie,
    Member::IcskCaState,
    Member::DstMetrics,
    Member::SkbUsers,
    Member::SkbNfct,
    Member::TcpMtuInfo,
    Member::Flowi4Daddr,
];

impl KernelTypes {
    /// Looks everything up in the BTF file at `path`, of which nothing may be missing that nothing works
    /// without.
    pub fn load(path: &Path) -> Result<Self, BtfError> {
        let shown = path.display();
        let unreadable = |reason: String| {
            BtfError(format!(
                "cannot read the kernel's type information at {shown}: {reason}; it needs a kernel \
                 built with CONFIG_DEBUG_INFO_BTF=y, or a file of it named with --btf"
            ))
        };
        // The library panics on no input we know of, but reports a missing file as a bare io error.
        std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let btf = Btf::from_file(path).map_err(|error| unreadable(error.to_string()))?;
        let structures = structures(&btf);
        let mut table = vec![ABSENT; extra::TABLE_LEN];
        for &(member, structure, name) in MEMBERS {
            let found = structures
                .get(structure)
                .and_then(|found| member_offset(&btf, found, name, 0));
            match found {
                Some(offset) => table[member as usize] = offset,
                None if OPTIONAL.contains(&member) => {}
                None => {
                    return Err(BtfError(format!(
                        "the kernel's type information at {shown} has no {structure}.{name}"
                    )));
                }
            }
        }
        table[extra::KFREE_SKB_REASON_ARG] = reason_argument(&btf).unwrap_or(ABSENT);
        table[extra::NETDEV_PRIV] = private_area(&btf, &structures, &table).unwrap_or(ABSENT);
        // `peer` has been the first member of `veth_priv` since the driver was written; where
        // veth is built in, BTF confirms it.
        table[extra::VETH_PRIV_PEER] = structures
            .get("veth_priv")
            .and_then(|found| member_offset(&btf, found, "peer", 0))
            .unwrap_or(0);
        let drop_reasons = drop_reasons(&btf);
        // `SKB_CONSUMED`; in kernels without it, what consumes is not what drops.
        let consumed = drop_reasons.iter().find(|(_, name)| *name == "CONSUMED");
        table[extra::CONSUMED] = consumed.map_or(ABSENT, |(&reason, _)| reason);
        Ok(Self {
            table,
            drop_reasons,
        })
    }

    /// Name of a drop reason, without `SKB_DROP_REASON_`; reasons of subsystems by number.
    #[must_use]
    pub fn drop_reason(&self, reason: u32) -> Option<String> {
        /// Subsystems such as mac80211 and Open vSwitch number their reasons themselves.
        const SUBSYSTEM_MASK: u32 = 0xffff_0000;
        if reason == 0 {
            return None;
        }
        let (subsystem, number) = (reason >> 16, reason & !SUBSYSTEM_MASK);
        Some(match self.drop_reasons.get(&reason) {
            Some(name) => name.clone(),
            None if subsystem == 0 => reason.to_string(),
            None => format!("subsystem {subsystem}: {number}"),
        })
    }
}

/// Structures by name; of several with one name, the one with most members.
fn structures(btf: &Btf) -> BTreeMap<&str, &FlattenedType> {
    let mut found: BTreeMap<&str, &FlattenedType> = BTreeMap::new();
    let members = |it: &FlattenedType| match &it.base_type {
        Type::Struct(structure) if it.num_refs == 0 => Some(structure.members.len()),
        _ => None,
    };
    for candidate in btf.get_types() {
        let (Some(name), Some(count)) = (&candidate.name, members(candidate)) else {
            continue;
        };
        let known = found.entry(name).or_insert(candidate);
        if members(known) < Some(count) {
            *known = candidate;
        }
    }
    found
}

/// Byte offset of a member, also of one inside anonymous structures and unions.
fn member_offset(btf: &Btf, structure: &FlattenedType, name: &str, depth: usize) -> Option<u32> {
    let (Type::Struct(found) | Type::Union(found)) = &structure.base_type else {
        return None;
    };
    if depth > MAX_DEPTH {
        return None;
    }
    for member in &found.members {
        match &member.name {
            Some(found) if found == name => return Some(member.offset / 8),
            Some(found) if !found.is_empty() => {}
            _ => {
                let inner = btf.get_type_by_id(member.type_id).ok()?;
                if let Some(offset) = member_offset(btf, inner, name, depth + 1) {
                    return Some(member.offset / 8 + offset);
                }
            }
        }
    }
    None
}

/// Position of the `enum skb_drop_reason` argument of the `kfree_skb` tracepoint.
fn reason_argument(btf: &Btf) -> Option<u32> {
    let mut named = named(btf, "btf_trace_kfree_skb");
    let prototype = named.find_map(|found| match found {
        Type::FunctionProto(prototype) => Some(prototype),
        _ => None,
    })?;
    let position = prototype.params.iter().position(|parameter| {
        btf.get_type_by_id(parameter.type_id)
            .is_ok_and(|found| found.name.as_deref() == Some("skb_drop_reason"))
    })?;
    // The first parameter is the tracepoint's own data pointer.
    u32::try_from(position).ok()?.checked_sub(1)
}

/// Distance from a `net_device` to its private area: the member `priv` (6.12 and later), else the
/// size of the structure, which is aligned to a cache line, rounded up to `NETDEV_ALIGN`.
fn private_area(
    btf: &Btf,
    structures: &BTreeMap<&str, &FlattenedType>,
    table: &[u32],
) -> Option<u32> {
    const CACHE_LINE: u32 = 64;
    let member = table[Member::DevPriv as usize];
    if member != ABSENT {
        return Some(member);
    }
    let Type::Struct(device) = &structures.get("net_device")?.base_type else {
        return None;
    };
    let last = device.members.iter().max_by_key(|member| member.offset)?;
    let bits = btf.get_type_by_id(last.type_id).ok()?.bits.max(8);
    let bytes = (last.offset + bits).div_ceil(8);
    Some(bytes.next_multiple_of(CACHE_LINE))
}

fn drop_reasons(btf: &Btf) -> BTreeMap<u32, String> {
    let entries = named(btf, "skb_drop_reason").flat_map(|found| match found {
        Type::Enum32(found) => found.entries.as_slice(),
        _ => &[],
    });
    let named = entries.filter_map(|entry| {
        // NOT_SPECIFIED exists under two names; the one without the prefix is older.
        let name = entry.name.as_deref()?.strip_prefix("SKB_")?;
        let name = name.strip_prefix("DROP_REASON_").unwrap_or(name);
        #[expect(clippy::cast_sign_loss, reason = "the kernel passes it as a u32")]
        Some((entry.value as u32, name.to_owned()))
    });
    named.collect()
}

/// All types of this name.
fn named<'a>(btf: &'a Btf, name: &'static str) -> impl Iterator<Item = &'a Type> {
    let types = btf.get_types().iter();
    let named = types.filter(move |it| it.name.as_deref() == Some(name));
    named.map(|it| &it.base_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_kernel_has_every_member() {
        if !Path::new(VMLINUX).exists() {
            return;
        }
        let types = KernelTypes::load(Path::new(VMLINUX)).unwrap();
        let offset = |member: Member| types.table[member as usize];
        assert_ne!(offset(Member::SkbLen), ABSENT);
        // `dev` shares an anonymous union with the list pointers, behind next and prev.
        assert_eq!(offset(Member::SkbDev), 16);
        assert!(types.drop_reasons.values().any(|name| name == "NO_SOCKET"));
    }

    #[test]
    fn missing_file_is_named() {
        let error = KernelTypes::load(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        assert!(KernelTypes::load(Path::new("/proc/self/status")).is_err());
    }

    #[test]
    fn reasons_have_names() {
        let types = KernelTypes {
            drop_reasons: BTreeMap::from([(93, "PKT_TOO_BIG".to_owned())]),
            ..KernelTypes::default()
        };
        assert_eq!(types.drop_reason(93).as_deref(), Some("PKT_TOO_BIG"));
        assert_eq!(types.drop_reason(0), None);
        assert_eq!(types.drop_reason(7).as_deref(), Some("7"));
        assert_eq!(
            types.drop_reason(0x0003_0002).as_deref(),
            Some("subsystem 3: 2")
        );
    }
}
