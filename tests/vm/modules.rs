//! The kernel modules that the scenarios need, with those they need themselves.

use std::collections::{BTreeMap, BTreeSet};

/// What the scenarios use, in the order in which it is loaded. A kernel may have some of it built in,
/// or under another name, or not at all: what is then missing, the matrix says.
pub const MODULES: &[&str] = &[
    // What the kernel asks for by an alias.
    "crc32c_generic",
    "crc32c_intel",
    "crc32c-cryptoapi",
    // Devices.
    "veth",
    "dummy",
    "bridge",
    "br_netfilter",
    "8021q",
    "macvlan",
    "tun",
    // Tunnels.
    "vxlan",
    "geneve",
    "ipip",
    "sit",
    "ip6_tunnel",
    "ip_gre",
    "ip6_gre",
    "wireguard",
    "fou",
    "xfrm_user",
    "xfrm_interface",
    "ip_vti",
    "esp4",
    "macsec",
    "mpls_router",
    "mpls_iptunnel",
    // Ciphers, which the kernel asks for by an alias, too.
    "ctr",
    "gcm",
    "ghash-generic",
    "seqiv",
    // Traffic control.
    "sch_ingress",
    "cls_bpf",
    "cls_u32",
    "cls_matchall",
    "act_bpf",
    "act_gact",
    "act_mirred",
    "sch_netem",
    "sch_tbf",
    "sch_htb",
    "sch_prio",
    "sch_fq_codel",
    // Packet filters.
    "nf_tables",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "nft_chain_nat",
    "nft_compat",
    "nft_counter",
    "nft_ct",
    "nft_fib_inet",
    "nft_limit",
    "nft_log",
    "nft_masq",
    "nft_nat",
    "nft_numgen",
    "nft_objref",
    "nft_quota",
    "nft_redir",
    "nft_reject_inet",
    "nft_meta_bridge",
    "nft_reject_bridge",
    "nf_log_syslog",
    "xt_tcpudp",
    "xt_TCPMSS",
    // Sockets.
    "tcp_diag",
    "udp_diag",
    "raw_diag",
];

/// `modules.dep`: each module's file, and the files it needs.
pub struct Dependencies<'a> {
    by_name: BTreeMap<String, (&'a str, Vec<&'a str>)>,
}

impl<'a> Dependencies<'a> {
    /// Reads `modules.dep`, of lines of a file, a colon and the files it needs, directly or not.
    pub fn parse(text: &'a str) -> Self {
        let by_name = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(file, needs)| (name(file), (file, needs.split_whitespace().collect())))
            .collect();
        Self { by_name }
    }

    /// The files of `modules` and of all they need.
    pub fn files(&self, modules: &[&str]) -> BTreeSet<&'a str> {
        let mut files = BTreeSet::new();
        let mut todo: Vec<String> = modules.iter().map(|module| name(module)).collect();
        while let Some(module) = todo.pop() {
            if let Some((file, needs)) = self.by_name.get(&module)
                && files.insert(*file)
            {
                todo.extend(needs.iter().map(|file| name(file)));
            }
        }
        files
    }
}

/// A module's name as `lsmod` prints it.
fn name(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    let end = base.find(".ko").unwrap_or(base.len());
    base[..end].replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::Dependencies;

    const DEP: &str = "kernel/drivers/net/veth.ko:\n\
                       kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\n\
                       kernel/net/bridge/bridge.ko.xz: kernel/net/802/stp.ko.xz kernel/net/llc/llc.ko.xz\n\
                       kernel/net/802/stp.ko.xz: kernel/net/llc/llc.ko.xz\n\
                       kernel/net/llc/llc.ko.xz:\n\
                       kernel/crypto/crc32c-cryptoapi.ko.xz:\n";

    #[test]
    fn what_a_module_needs_comes_with_it() {
        let files = Dependencies::parse(DEP).files(&["br_netfilter"]);
        assert_eq!(
            files.into_iter().collect::<Vec<_>>(),
            [
                "kernel/net/802/stp.ko.xz",
                "kernel/net/bridge/br_netfilter.ko.xz",
                "kernel/net/bridge/bridge.ko.xz",
                "kernel/net/llc/llc.ko.xz",
            ]
        );
    }

    #[test]
    fn compressed_or_not_and_dash_or_underscore_are_the_same() {
        let files = Dependencies::parse(DEP).files(&["veth", "crc32c_cryptoapi"]);
        assert_eq!(
            files.into_iter().collect::<Vec<_>>(),
            [
                "kernel/crypto/crc32c-cryptoapi.ko.xz",
                "kernel/drivers/net/veth.ko",
            ]
        );
    }

    #[test]
    fn what_a_kernel_does_not_have_is_left_out() {
        assert!(Dependencies::parse(DEP).files(&["geneve"]).is_empty());
    }
}
