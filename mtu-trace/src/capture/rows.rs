//! The rows of events: which field stands in which place, each once. What writes and what reads them
//! is made from these tables, and a test compares them with `docs/capture-format.md`.
//!
//! A new field goes behind all others of its row. Those behind a semicolon are missing in older rows,
//! and have their default there. Those behind a bar are left out at the end of a row as long as they have
//! their default.

use crate::capture::row::{Field, FieldError, Put, Row, RowReader, RowWriter, Taken};
use crate::model::event::{
    Closed, Count, Device, DropRule, Event, EventKind, Flow, IcmpError, Inner, Isn, Packet,
    PacketKind, PathMtu, Quoted, Retransmit, Sample, Socket, Tcp, Timers,
};
use crate::model::is_default;
use crate::model::store::StoreState;

fn places<T: Field>(_: &T) -> usize {
    T::PLACES
}

/// How many of the fields behind a bar are written, by whether each has another value than its default.
fn written(is_there: &[bool]) -> usize {
    let last = is_there.iter().rposition(|&is_there| is_there);
    last.map_or(0, |last| last + 1)
}

/// The tables of `docs/capture-format.md`: what has the fields, and their names.
#[cfg(test)]
pub type Listed = (&'static str, &'static [&'static str]);

// Fields behind `without` are kept elsewhere, and come back empty.
macro_rules! rows {
    ($($type:ident {
        $($field:ident),* $(; $($late:ident),*)? $(| $($rare:ident),+)?
    } $(without { $($beside:ident),* })?,)*) => {
        $(
            impl Row for $type {
                #[cfg(test)]
                const FIELDS: &'static [&'static str] =
                    &[$(stringify!($field),)* $($(stringify!($late),)*)? $($(stringify!($rare)),+)?];

                fn places(&self) -> usize {
                    let always: usize =
                        [$(places(&self.$field),)* $($(places(&self.$late)),*)?].iter().sum();
                    $(
                        let rare = [$(places(&self.$rare)),+];
                        let is_there = [$(!is_default(&self.$rare)),+];
                        let always = always + rare[..written(&is_there)].iter().sum::<usize>();
                    )?
                    always
                }

                fn put_fields(&self, to: &mut RowWriter<'_>) -> Put {
                    $( self.$field.put(to)?; )*
                    $( $( self.$late.put(to)?; )* )?
                    $(
                        let mut left = written(&[$(!is_default(&self.$rare)),+]);
                        $(
                            if left > 0 {
                                self.$rare.put(to)?;
                                left -= 1;
                            }
                        )+
                        debug_assert_eq!(left, 0);
                    )?
                    Ok(())
                }

                #[inline]
                fn take_fields(from: &mut RowReader<'_, '_>) -> Taken<Self> {
                    Ok(Self {
                        $( $field: Field::take(from)?, )*
                        $( $( $late: from.or_default()?, )* )?
                        $( $( $rare: from.or_default()?, )+ )?
                        $( $( $beside: Default::default(), )* )?
                    })
                }
            }
        )*

        #[cfg(test)]
        const ROWS: &[Listed] = &[$((stringify!($type), <$type as Row>::FIELDS)),*];
    };
}

rows! {
    Flow { netns, protocol, source, destination },
    Isn { iss, irs },
    Timers { timeouts, probes, losses },
    Tcp { seq, ack, syn, has_ack, payload_bytes },
    Quoted { flow, seq, ack },
    IcmpError { mtu_bytes, quoted },
    Inner { flow, length_bytes, tcp | begins_at_bytes },
    Socket { flow, opened_ns, isn, active },
    Retransmit {
        socket, seq, end_seq, snd_una, state, ca_state, timeouts, backoff, mss_cache, pmtu_bytes,
        packets_out, sacked_out, bytes_acked, count; timers | error, unsent
    },
    Sample {
        flow, state, timeouts, backoff, mss, pmtu_bytes, unacked, sacked, bytes_acked,
        bytes_received, held_bytes, unsent_bytes, window_closed; outstanding_bytes
        | is_held_up, waited_ms, duplicates
    },
    Closed { flow, last_state, error, bytes_acked, bytes_received, unacknowledged },
    PathMtu { flow, mtu_bytes, before_bytes, count },
    Packet {
        what, flow, device, has_device, route, peer, came_in, route_input, route_mtu_bytes,
        length_bytes, buffer_bytes, tag_bytes, gso, tcp, icmp_error, inner, count, first_ns,
        repeats | route_mtu_locked, netfilter_hook, ct_state
    } without { head },
    DropRule { flow, function, hook, rules },
    StoreState { store, bound, evicted },
    Device { netns, ifindex, name, mtu_bytes },
}

macro_rules! nested {
    ($($type:ident),*) => { $(
        impl Field for $type {
            fn put(&self, to: &mut RowWriter<'_>) -> Put {
                to.row(self.places())?;
                self.put_fields(to)
            }

            #[inline]
            fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
                from.row(Self::take_fields)
            }
        }
    )* };
}

// All of them but devices, which stand in the dictionary.
nested!(
    Flow, Isn, Timers, Tcp, Quoted, IcmpError, Inner, Socket, Retransmit, Sample, Closed, PathMtu,
    DropRule, Packet, StoreState
);

// One of several structures: a row with the number of the choice and the fields of it.
macro_rules! choices {
    ($($type:ident { $($number:literal $choice:ident { $($field:ident),* })* })*) => {
        $(
            impl Field for $type {
                fn put(&self, to: &mut RowWriter<'_>) -> Put {
                    match self {
                        $( Self::$choice { $($field),* } => {
                            const NUMBER: u8 = $number;
                            to.row([places(&NUMBER), $(places($field)),*].iter().sum())?;
                            NUMBER.put(to)?;
                            $( $field.put(to)?; )*
                        } )*
                    }
                    Ok(())
                }

                #[inline]
                fn take(from: &mut RowReader<'_, '_>) -> Taken<Self> {
                    from.row(|from| Self::take_chosen(u8::take(from)?, from))
                }
            }

            impl $type {
                /// Reads the fields of a choice by its number.
                #[inline]
                pub(crate) fn take_chosen(number: u8, from: &mut RowReader<'_, '_>) -> Taken<Self> {
                    match number {
                        $( $number => Ok(Self::$choice { $($field: Field::take(from)?),* }), )*
                        _ => Err(FieldError::Unfit),
                    }
                }
            }
        )*

        #[cfg(test)]
        const CHOICES: &[Listed] = &[$($((
            concat!(stringify!($type), " ", $number, " ", stringify!($choice)),
            &[$(stringify!($field)),*],
        )),*),*];
    };
}

choices! {
    PacketKind {
        0 Dropped { function, reason }
        1 IcmpSent {}
        2 Seen { egress, limit_bytes }
    }
    Count {
        0 Dropped { flow, function, count, last_ns }
        1 Retransmitted { flow, count, last_ns }
    }
}

/// What the own block of a packet would be called, if it were not the packet's.
pub const PACKET: &str = "packet";

/// Reads what an event holds; its name is there for the table of the documentation.
#[inline]
fn held<T: Field>(_name: &str, from: &mut RowReader<'_, '_>) -> Taken<T> {
    T::take(from)
}

macro_rules! kinds {
    ($($name:literal $kind:ident $(($holds:ident))?,)*) => {
        /// The name of an event's kind, which is the key of its block.
        pub fn kind_name(kind: &EventKind) -> &'static str {
            match kind {
                $( EventKind::$kind { .. } => $name, )*
            }
        }

        /// Writes an event: a row of its time and what it holds.
        pub fn put_event(event: &Event, to: &mut RowWriter<'_>) -> Put {
            match &event.kind {
                $( EventKind::$kind $(($holds))? => {
                    to.row([$name $(, stringify!($holds))?].len())?;
                    event.time_ns.put(to)?;
                    $( $holds.put(to)?; )?
                } )*
            }
            Ok(())
        }

        /// Reads the event of a block with this key; `None` if no events have it.
        pub fn take_event(key: &str, from: &mut RowReader<'_, '_>) -> Option<Taken<Event>> {
            Some(match key {
                $( $name => from.row(|from| Ok(Event {
                    time_ns: Field::take(from)?,
                    kind: EventKind::$kind $((held(stringify!($holds), from)?))?,
                })), )*
                _ => return None,
            })
        }

        #[cfg(test)]
        const KINDS: &[Listed] = &[$(($name, &["time_ns" $(, stringify!($holds))?])),*];
    };
}

kinds! {
    "tick" Tick,
    "sample" Sample(sample),
    "packet" Packet(packet),
    "retransmit" Retransmit(retransmit),
    "connection" Connection(socket),
    "closed" Closed(closed),
    "count" Count(count),
    "path_mtu" PathMtu(path_mtu),
    "rule" Rule(rule),
    "topology" Topology(topology),
    "lost" Lost(records),
    "blind" Blind(hooks),
    "limited" Limited(sentences),
    "evicted" Evicted(store_state),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::dictionary::Entry;
    use crate::model::event::Name;

    /// The rows of the tables of the documentation that begin with code: the first two cells.
    fn documented() -> Vec<(String, String)> {
        let text = include_str!("../../../docs/capture-format.md");
        let (_, tables) = text.split_once("### Rows").unwrap();
        let (tables, _) = tables.split_once("### `change`").unwrap();
        let lines = tables.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells = lines.map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')));
        cells
            .map(|mut cells| {
                let (name, fields) = (cells.next().unwrap(), cells.next().unwrap());
                (name.to_owned(), fields.to_owned())
            })
            .collect()
    }

    #[test]
    fn the_documentation_lists_these_fields() {
        let entries: [Listed; 2] = [
            (Name::KIND, &["number", "text"]),
            (
                Device::KIND,
                &["number", "netns", "ifindex", "name", "mtu_bytes"],
            ),
        ];
        let fields = |(name, fields): &Listed| ((*name).to_owned(), fields.join(", "));
        let rows = ROWS.iter().filter(|(name, _)| *name != "Device");
        let all = rows.chain(CHOICES).chain(KINDS).chain(&entries);
        assert_eq!(documented(), all.map(fields).collect::<Vec<_>>());
        assert_eq!(Device::FIELDS, &entries[1].1[1..]);
        assert_eq!(Name::FIELDS, &entries[0].1[1..]);
    }
}
