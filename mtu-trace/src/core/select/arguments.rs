//! The options that select, the same for every command that has them.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint, value_parser};

/// What is shown of what was seen. Options of one kind are alternatives; the kinds and FILTER must
/// all fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Selection {
    /// Only connections that touch this network namespace: `ip netns` name, file or inode number
    #[arg(
        long,
        value_name = "NAME|PATH|INODE",
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = "Selection (each may be repeated)"
    )]
    pub netns: Vec<String>,
    /// Only connections that touch this container or one inside it: its name, or the start of its id
    #[arg(
        long,
        value_name = "NAME|ID",
        value_hint = ValueHint::Other,
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = "Selection (each may be repeated)"
    )]
    pub container: Vec<String>,
    /// Only connections that touch the network namespace this process is in, its neighbours' there
    /// included: which of them are its own is not known
    #[arg(
        long,
        value_name = "PID",
        value_hint = ValueHint::Other,
        value_parser = value_parser!(i32).range(1..),
        help_heading = "Selection (each may be repeated)"
    )]
    pub pid: Vec<i32>,
    /// Only connections that fit, as in `port 443 and not host 192.0.2.1`: host, net, port, portrange,
    /// src, dst, tcp, udp, icmp, icmp6, ip, ip6, and, or, not, parentheses (quote them)
    ///
    /// A connection fits by any of its tuples, before and after NAT; src and dst are those of the data
    /// in trouble. docs/filters.md has the rest.
    #[arg(value_name = "FILTER", value_hint = ValueHint::Other)]
    pub filter: Vec<String>,
}
