//! The kernel's own counters, which prove that a fault is there whatever the tracer says of it.

use anyhow::{Context, Result};
use lab::counters::{dropped, snmp, snmp6};
use lab::{Lab, firewall};

/// A counter, and what it must have come to.
#[derive(Clone, Copy)]
pub struct Count {
    /// Role of the namespace.
    pub role: &'static str,
    pub counter: Counter,
    pub amount: Amount,
}

/// Which of the kernel's counters.
#[derive(Clone, Copy, Debug)]
pub enum Counter {
    /// Of IPv4 or TCP: the protocol, and the counter's name.
    Snmp(&'static str, &'static str),
    /// Of IPv6.
    Snmp6(&'static str),
    /// Packets that the filter in this table of nft dropped.
    Filtered(&'static str),
    /// Packets that an interface dropped instead of sending them.
    DroppedTx(&'static str),
    /// Packets that an interface dropped instead of receiving them.
    DroppedRx(&'static str),
}

/// What a counter must have come to.
#[derive(Clone, Copy)]
pub enum Amount {
    /// Nothing at all.
    Nothing,
    /// At least so much.
    AtLeast(u64),
    /// As many as the finding says were dropped for their length.
    AsReported,
}

/// Packets that were too big for where a forwarder sends them.
pub const FRAG_FAILS: Counter = Counter::Snmp("Ip", "FragFails");
/// The same of IPv6 where a bridge or an end fragments.
pub const FRAG_FAILS_V6: Counter = Counter::Snmp6("Ip6FragFails");
/// The same of IPv6 where a router forwards.
pub const TOO_BIG_V6: Counter = Counter::Snmp6("Ip6InTooBigErrors");
/// Pieces that packets were cut into.
pub const FRAGMENTS: Counter = Counter::Snmp("Ip", "FragCreates");
/// "Fragmentation needed" and its like, as they are received.
pub const HEARD: Counter = Counter::Snmp("Icmp", "InDestUnreachs");
/// The same as they are sent.
pub const TOLD: Counter = Counter::Snmp("Icmp", "OutDestUnreachs");
/// "Fragmentation needed" that was filtered.
pub const UNHEARD: Counter = Counter::Filtered(firewall::FRAG_NEEDED);
/// "Packet too big" that was filtered.
pub const UNHEARD_V6: Counter = Counter::Filtered(firewall::PACKET_TOO_BIG);
/// Segments that were sent again.
pub const RETRANSMITTED: Counter = Counter::Snmp("Tcp", "RetransSegs");

/// At least so much.
pub const fn at_least(least: u64, counter: Counter, role: &'static str) -> Count {
    let amount = Amount::AtLeast(least);
    Count {
        role,
        counter,
        amount,
    }
}

/// Nothing at all.
pub const fn none(counter: Counter, role: &'static str) -> Count {
    let amount = Amount::Nothing;
    Count {
        role,
        counter,
        amount,
    }
}

/// As many as the finding says were dropped for their length.
pub const fn as_reported(counter: Counter, role: &'static str) -> Count {
    let amount = Amount::AsReported;
    Count {
        role,
        counter,
        amount,
    }
}

/// Counters as they were before the report was made and after it.
pub struct Counted<'a> {
    pub before: &'a Result<Vec<u64>>,
    pub after: &'a Result<Vec<u64>>,
}

/// Reads all of `counts`.
///
/// # Errors
///
/// There is no such namespace, interface or counter.
pub fn read(counts: &[Count], lab: &Lab) -> Result<Vec<u64>> {
    let read = |count: &Count| {
        let netns = lab.netns(count.role)?;
        match count.counter {
            Counter::Snmp(protocol, name) => snmp(netns, protocol, name),
            Counter::Snmp6(name) => snmp6(netns, name),
            Counter::Filtered(table) => firewall::dropped(netns, table),
            Counter::DroppedTx(interface) => Ok(dropped(netns, interface)?.tx),
            Counter::DroppedRx(interface) => Ok(dropped(netns, interface)?.rx),
        }
        .with_context(|| format!("{:?} of {}", count.counter, count.role))
    };
    counts.iter().map(read).collect()
}

/// What is wrong with the counters, `reported` drops being in the finding.
pub fn compare(counts: &[Count], counted: &Counted<'_>, reported: Option<u64>) -> Vec<String> {
    let (before, after) = match (counted.before, counted.after) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(error), _) | (_, Err(error)) => return vec![format!("{error:#}")],
    };
    let wrong = |(count, (before, after)): (&Count, (&u64, &u64))| {
        let is_right = match count.amount {
            Amount::Nothing => *after == 0,
            Amount::AtLeast(least) => *before >= least,
            Amount::AsReported => reported.is_some_and(|it| (*before..=*after).contains(&it)),
        };
        let Count { role, counter, .. } = count;
        (!is_right).then(|| {
            format!("{counter:?} of {role} is {before} to {after}; {reported:?} drops are reported")
        })
    };
    let numbers = before.iter().zip(after);
    counts.iter().zip(numbers).filter_map(wrong).collect()
}
