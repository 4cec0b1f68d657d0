//! What the tracer keeps in bounded room, and what it had to forget for that.

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

/// What follows for findings where something was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// A connection may be told without one of its ends.
    Ends,
    /// What was known of a connection may be known no more.
    State,
    /// Exact counts may be too low; whatever happens is told all the same.
    Counts,
    /// An end may not be heard of.
    Endings,
    /// What passes by may not be seen.
    Sightings,
    /// Something has no name any more.
    Names,
}

impl Consequence {
    /// What follows, as the end of a sentence.
    fn words(self) -> &'static str {
        match self {
            Self::Ends => "findings may miss an end of their connection",
            Self::State => "findings may count too few, or be missing",
            Self::Counts => "counts in findings may be too low",
            Self::Endings => "findings may be called ongoing for too long",
            Self::Sightings => "what passes by there is not seen",
            Self::Names => "findings name them by their numbers",
        }
    }
}

/// Declares the stores: what each keeps, its name in reports, what it keeps in words, what follows when
/// something of it is forgotten, and its bound where a capture tells none.
macro_rules! stores {
    ($($(#[$doc:meta])* $store:ident = $name:literal, $kept:literal, $consequence:ident, $bound:literal;)+) => {
        /// What has room for so many entries and no more.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Store { $($(#[$doc])* #[serde(rename = $name)] $store,)+ }

        impl Store {
            /// Every one of them, in the order in which reports list them.
            pub const ALL: [Self; [$(Self::$store),+].len()] = [$(Self::$store),+];

            /// The name in reports and captures, which never changes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$store => $name,)+ }
            }

            /// What it keeps, in words that stand behind a number.
            #[must_use]
            pub const fn kept(self) -> &'static str {
                match self { $(Self::$store => $kept,)+ }
            }

            /// What follows for findings where something of it was forgotten.
            #[must_use]
            pub const fn consequence(self) -> Consequence {
                match self { $(Self::$store => Consequence::$consequence,)+ }
            }

            /// How many entries it has room for where nothing else was told.
            #[must_use]
            pub const fn usual_bound(self) -> u64 {
                match self { $(Self::$store => $bound,)+ }
            }
        }
    };
}

stores! {
    /// TCP connections, with their initial sequence numbers, in the kernel.
    Handshakes = "handshakes", "handshakes of connections", Ends, 65_536;
    /// Connections that have ended, for packets that are still on their way, in the kernel. Only what is
    /// forgotten too early counts.
    Ended = "ended", "connections that had just ended", Ends, 16_384;
    /// Exact counts of dropped and passing packets by flow and place, in the kernel.
    Drops = "drops", "counts of dropped or passing packets", Counts, 16_384;
    /// Exact counts of ICMP messages generated, by flow and place, in the kernel.
    Messages = "messages", "counts of ICMP messages", Counts, 16_384;
    /// Exact counts of retransmits by socket, in the kernel.
    Retransmits = "retransmits", "counts of retransmits", Counts, 16_384;
    /// Why sockets sent again, in the kernel.
    Timers = "timers", "counts of timeouts", Counts, 16_384;
    /// Path MTUs taken over, by socket or route, in the kernel.
    PathMtus = "path_mtus", "counts of path MTUs taken over", Counts, 4_096;
    /// Sockets whose end is to be told, in the kernel.
    Watched = "watched", "sockets whose end was waited for", Endings, 16_384;
    /// Devices with the limits that tc programs measure against, in the kernel.
    Devices = "devices", "devices with a limit", Sightings, 16_384;
    /// Connections that were open before the trace, or whose handshakes are not seen.
    OpenSockets = "open_sockets", "connections older than the trace", Ends, 20_000;
    /// Packets whose connection is looked for at once.
    Searches = "searches", "packets whose connection was looked for", Ends, 4_096;
    /// Sockets that events have announced, which are asked how they stand.
    Announced = "announced", "sockets that were looked at", Endings, 50_000;
    /// Connections of which no more is known than that they are there.
    Connections = "connections", "quiet connections", Ends, 60_000;
    /// Connections of which more is known: most often that something was lost.
    Troubled = "troubled", "connections", State, 10_000;
    /// Namespaces that are gone, and of which findings still tell.
    Namespaces = "namespaces", "namespaces that were gone", Names, 4_096;
}

/// How a store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreState {
    /// Which one it is.
    pub store: Store,
    /// How many entries it has room for.
    pub bound: u64,
    /// How many it had to forget so far.
    pub evicted: u64,
}

/// How all stores stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evictions([StoreState; Store::ALL.len()]);

impl Default for Evictions {
    fn default() -> Self {
        Self(Store::ALL.map(|store| StoreState {
            store,
            bound: store.usual_bound(),
            evicted: 0,
        }))
    }
}

impl Evictions {
    /// Takes in how a store stands; what was forgotten stays so.
    pub(crate) fn learn(&mut self, told: StoreState) {
        let known = &mut self.0[told.store as usize];
        known.bound = told.bound;
        known.evicted = known.evicted.max(told.evicted);
    }

    /// Takes in that so many more entries were forgotten.
    pub(crate) fn add(&mut self, store: Store, evicted: u64) {
        let known = &mut self.0[store as usize];
        known.evicted = known.evicted.saturating_add(evicted);
    }

    /// How many entries a store has room for.
    pub(crate) fn bound(&self, store: Store) -> usize {
        usize::try_from(self.0[store as usize].bound).unwrap_or(usize::MAX)
    }

    /// How many entries of a store were forgotten.
    #[must_use]
    pub fn of(&self, store: Store) -> u64 {
        self.0[store as usize].evicted
    }

    /// How many entries were forgotten, of all stores.
    #[must_use]
    pub fn total(&self) -> u64 {
        let evicted = self.told().map(|it| it.evicted);
        evicted.fold(0, u64::saturating_add)
    }

    /// Whether nothing was forgotten.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.told().next().is_none()
    }

    /// Whether anything was forgotten from which this follows.
    pub(crate) fn have(&self, effect: Consequence) -> bool {
        self.told().any(|it| it.store.consequence() == effect)
    }

    /// The stores of which something was forgotten.
    fn told(&self) -> impl Iterator<Item = &StoreState> {
        self.0.iter().filter(|it| it.evicted > 0)
    }

    /// What was forgotten, a sentence for each store.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> {
        self.told().map(|told| {
            format!(
                "{} {} had to be forgotten, since there is room for {}: {}.",
                told.evicted,
                told.store.kept(),
                told.bound,
                told.store.consequence().words(),
            )
        })
    }
}

/// The stores of which something was forgotten, by name.
impl Serialize for Evictions {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Told {
            evicted: u64,
            bound: u64,
        }
        let mut map = to.serialize_map(None)?;
        for &StoreState {
            store,
            bound,
            evicted,
        } in self.told()
        {
            map.serialize_entry(store.name(), &Told { evicted, bound })?;
        }
        map.end()
    }
}

impl Store {
    /// The store of this name; `None` if there is none.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|store| store.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_and_differ() {
        for store in Store::ALL {
            assert_eq!(Store::named(store.name()), Some(store));
            assert_eq!(Store::ALL[store as usize], store);
        }
        assert_eq!(Store::named("memory"), None);
    }

    #[test]
    fn each_has_its_line_in_the_documentation() {
        let lines = include_str!("../../../docs/stores.md").lines();
        let rows = lines.filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.strip_suffix('`')?;
            Some((name, cells.next()?.parse().ok()?))
        });
        let stores = Store::ALL.map(|store| (store.name(), store.usual_bound()));
        assert_eq!(rows.collect::<Vec<_>>(), stores);
    }

    #[test]
    fn what_was_forgotten_stays_so_and_adds_up() {
        let mut evictions = Evictions::default();
        assert!(evictions.is_none());
        let told = |evicted| StoreState {
            store: Store::Drops,
            bound: 8,
            evicted,
        };
        for evicted in [0, 5, 3] {
            evictions.learn(told(evicted));
        }
        evictions.add(Store::Troubled, 2);
        assert_eq!(evictions.of(Store::Drops), 5);
        assert_eq!(evictions.total(), 7);
        assert_eq!(evictions.bound(Store::Drops), 8);
        assert!(evictions.have(Consequence::Counts) && evictions.have(Consequence::State));
        assert!(!evictions.have(Consequence::Ends));
        let json = serde_json::to_string(&evictions).unwrap();
        let wanted = r#"{"drops":{"evicted":5,"bound":8},"troubled":{"evicted":2,"bound":10000}}"#;
        assert_eq!(json, wanted);
    }
}
