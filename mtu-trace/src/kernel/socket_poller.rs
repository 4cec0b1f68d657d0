//! Asks now and then about connections that no record speaks of: a sender whose peer has no room, a
//! receiver with a gap, and whatever was open before the trace.

use std::collections::{BTreeSet, HashSet};

use crate::host::watcher::Watcher;
use crate::kernel::announced::Announced;
use crate::kernel::maps::ConnectionTable;
use crate::kernel::sizes::Sizes;
use crate::kernel::sockets;
use crate::kernel::sockets::OpenSocket;
use crate::model::event::{Flow, Sample, Socket};
use crate::model::network::NetnsId;
use crate::model::store::Store;

/// Sockets asked about in one go. A choice: at some 10 µs each they hold a tick up by 5 ms.
const MOST_AT_ONCE: usize = 512;

/// The connections to look at, in turn.
pub struct SocketPoller {
    /// Connections older than the trace that are remembered at most.
    most_old: usize,
    /// Connections that the last survey has found more.
    pub(crate) left_out: u64,
    /// Sockets whose handshakes were not seen: those that were open when the trace began, and all
    /// where handshakes are not seen.
    pub(crate) old: Vec<Socket>,
    surveyed_ns: u64,
    /// Those of the round under way that are still to be looked at.
    round: Vec<Socket>,
}

impl SocketPoller {
    /// Has not looked at anything yet.
    pub fn new(sizes: &Sizes) -> Self {
        Self {
            most_old: sizes.room(Store::OpenSockets),
            left_out: 0,
            old: Vec::new(),
            surveyed_ns: 0,
            round: Vec::new(),
        }
    }

    /// Whether the last survey is older than this.
    pub fn is_outdated(&self, age_ns: u64, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.surveyed_ns) >= age_ns
    }

    /// Whether the next [`SocketPoller::poll`] begins a new round.
    pub fn is_round_done(&self) -> bool {
        self.round.is_empty()
    }

    /// Notes what is open in these namespaces now, in place of what was noted before.
    pub fn survey(
        &mut self,
        namespaces: impl Iterator<Item = NetnsId>,
        watcher: &Watcher,
        now_ns: u64,
    ) {
        self.surveyed_ns = now_ns;
        self.old.clear();
        let mut found = 0;
        // What waits for nothing can be left out with the least harm.
        let mut idle = Vec::new();
        for netns in namespaces {
            for OpenSocket { socket, is_busy } in sockets::all(netns, watcher) {
                found += 1;
                let kept = if is_busy { &mut self.old } else { &mut idle };
                if kept.len() < self.most_old {
                    kept.push(socket);
                }
            }
        }
        let room = self.most_old - self.old.len();
        self.old.extend(idle.into_iter().take(room));
        self.left_out = found - self.old.len() as u64;
    }

    /// Asks about the next connections; gives those that wait for something.
    pub fn poll(
        &mut self,
        table: &impl ConnectionTable,
        announced: &Announced,
        watcher: &Watcher,
    ) -> Vec<(Socket, Sample)> {
        if self.round.is_empty() {
            let kept = table.connections().filter(|kept| kept.closed.is_none());
            self.round = kept.map(|kept| kept.socket).collect();
            let newer: HashSet<Flow> = self.round.iter().map(|socket| socket.flow).collect();
            self.old.retain(|socket| !newer.contains(&socket.flow));
            self.round.extend(&self.old);
        }
        let rest = self.round.len().saturating_sub(MOST_AT_ONCE);
        let mut looked = self.round.split_off(rest);
        looked.retain(|socket| !announced.contains(&socket.flow));
        let samples = sockets::sample(looked.iter().map(|socket| socket.flow), watcher);
        let alive: BTreeSet<Flow> = samples.iter().map(|sample| sample.flow).collect();
        let gone = looked.iter().map(|socket| socket.flow);
        let gone: HashSet<Flow> = gone.filter(|flow| !alive.contains(flow)).collect();
        self.old.retain(|socket| !gone.contains(&socket.flow));
        samples
            .into_iter()
            .filter(Sample::is_waiting)
            .filter_map(|sample| {
                let socket = looked.iter().find(|socket| socket.flow == sample.flow)?;
                Some((*socket, sample))
            })
            .collect()
    }
}
