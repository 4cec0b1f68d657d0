//! What older versions of the format have instead: a table of the keys that mean something else now,
//! or nothing. Rows that were shorter are no matter of it: [`rows`](crate::capture::rows) says which
//! fields came later.

use crate::capture::content::{BlockContent, CARRIED};
use crate::capture::row::{Field as _, RowReader, Taken};
use crate::capture::rows::Choice as _;
use crate::model::event::{Count, Event, EventKind};

/// A key of older versions.
struct OlderKey {
    key: &'static str,
    /// The last version that has it.
    last_version: u8,
    take: fn(&mut RowReader<'_, '_>) -> Taken<BlockContent>,
}

/// Versions 1 and 2 have structures with their fields' names for events without a row, which in
/// version 1 are all; version 2 has a key for each kind of count.
const OLDER_KEYS: [OlderKey; 4] = [
    OlderKey {
        key: "event",
        last_version: 2,
        take: |from| from.structure().map(BlockContent::Event),
    },
    OlderKey {
        key: CARRIED,
        last_version: 2,
        take: |from| from.structure().map(BlockContent::Carried),
    },
    OlderKey {
        key: "dropped",
        last_version: 2,
        take: |from| count(0, from),
    },
    OlderKey {
        key: "retransmitted",
        last_version: 2,
        take: |from| count(1, from),
    },
];

/// Reads what a key means in an older version; `None` if it means what it does now.
pub fn content(
    version: u8,
    key: &str,
    from: &mut RowReader<'_, '_>,
) -> Option<Taken<BlockContent>> {
    let older = |it: &&OlderKey| it.key == key && version <= it.last_version;
    let found = OLDER_KEYS.iter().find(older)?;
    Some((found.take)(from))
}

/// Reads the event of a packet as version 1 has it.
pub fn packet(from: &mut RowReader<'_, '_>) -> Taken<Event> {
    from.structure()
}

fn count(choice: u8, from: &mut RowReader<'_, '_>) -> Taken<BlockContent> {
    from.row(|from| {
        Ok(BlockContent::Event(Event {
            time_ns: u64::take(from)?,
            kind: EventKind::Count(from.row(|from| Count::take_chosen(choice, from))?),
        }))
    })
}
