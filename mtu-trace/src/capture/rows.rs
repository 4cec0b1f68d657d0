//! Which place of a row means what. `docs/capture-format.md` lists the same.
//!
//! A new field goes behind all others, and takes a default where the row is too short for it.

use std::{borrow::Cow, net::SocketAddr};

use cbor4ii::core::utils::{BufWriter, SliceReader};

use crate::{
    capture::{
        row::{Address, Item, NoRow, Put, Taken, put_row, take_row},
        tables::{BadEntry, Told},
    },
    model::{
        event::{
            Closed, Count, Device, Flow, IcmpError, Inner, Isn, Name, Packet, PacketKind, Quoted,
            Retransmit, Sample, Socket, Tcp, Timers,
        },
        network::NetnsId,
    },
};

// What stands behind a semicolon came later: it may be missing.
macro_rules! rows {
    ($($type:ident { $($field:ident),* $(; $($late:ident),*)? })*) => { $(
        impl Item for $type {
            fn put(&self, to: &mut BufWriter) -> Put {
                put_row([$(stringify!($field),)* $($(stringify!($late)),*)?].len(), to)?;
                $( self.$field.put(to)?; )*
                $( $( self.$late.put(to)?; )* )?
                Ok(())
            }

            #[inline]
            fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
                take_row(from, |row| {
                    Ok(Self { $( $field: row.next()?, )* $( $( $late: row.next_or_default()?, )* )? })
                })
            }
        }
    )* };
}

rows! {
    Isn { iss, irs }
    Timers { timeouts, probes, losses }
    Tcp { seq, ack, syn, has_ack, payload_bytes }
    Quoted { flow, seq, ack }
    IcmpError { mtu_bytes, quoted }
    Inner { flow, length_bytes, tcp }
    Socket { flow, opened_ns, isn, active }
    Retransmit {
        socket, seq, end_seq, snd_una, state, ca_state, timeouts, backoff, mss_cache, pmtu_bytes,
        packets_out, sacked_out, bytes_acked, count; timers
    }
    Sample {
        flow, state, timeouts, backoff, mss, pmtu_bytes, unacked, sacked, bytes_acked,
        bytes_received, held_bytes, unsent_bytes, window_closed; outstanding_bytes
    }
    Closed { flow, last_state, error, bytes_acked, bytes_received, unacknowledged }
    Dropped { flow, function, count, last_ns }
    Retransmitted { flow, count, last_ns }
    PacketRow {
        what, flow, device, has_device, route, peer, came_in, route_input, route_mtu_bytes,
        length_bytes, buffer_bytes, tag_bytes, gso, tcp, icmp_error, inner, count, first_ns,
        repeats
    }
    NameRow { number, name }
    DeviceRow { number, netns, ifindex, name, mtu_bytes }
}

/// A moment, ns of `CLOCK_MONOTONIC`.
pub struct Tick(pub u64);

impl Item for Tick {
    fn put(&self, to: &mut BufWriter) -> Put {
        put_row(1, to)?;
        self.0.put(to)
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        take_row(from, |row| row.next().map(Self))
    }
}

/// Something with its time, ns of `CLOCK_MONOTONIC`.
pub struct At<T>(pub u64, pub T);

impl<T: Item> Item for At<T> {
    fn put(&self, to: &mut BufWriter) -> Put {
        put_row(2, to)?;
        self.0.put(to)?;
        self.1.put(to)
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        take_row(from, |row| Ok(Self(row.next()?, row.next()?)))
    }
}

/// What is written need not be copied for it.
impl<T: Item + Clone> Item for Cow<'_, T> {
    fn put(&self, to: &mut BufWriter) -> Put {
        (**self).put(to)
    }

    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        T::take(from).map(Cow::Owned)
    }
}

impl Item for Flow {
    fn put(&self, to: &mut BufWriter) -> Put {
        put_row(6, to)?;
        self.netns.put(to)?;
        self.protocol.put(to)?;
        Address(self.source.ip()).put(to)?;
        self.source.port().put(to)?;
        Address(self.destination.ip()).put(to)?;
        self.destination.port().put(to)
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        take_row(from, |row| {
            Ok(Self {
                netns: row.next()?,
                protocol: row.next()?,
                source: SocketAddr::new(row.next::<Address>()?.0, row.next()?),
                destination: SocketAddr::new(row.next::<Address>()?.0, row.next()?),
            })
        })
    }
}

/// An exact count of packets of a flow freed in a function.
pub struct Dropped {
    pub flow: Flow,
    /// Number of a name.
    pub function: u32,
    pub count: u64,
    pub last_ns: u64,
}

/// An exact count of retransmits of a socket.
pub struct Retransmitted {
    pub flow: Flow,
    pub count: u64,
    pub last_ns: u64,
}

impl Dropped {
    /// The count.
    ///
    /// # Errors
    ///
    /// If the function's number was not told.
    pub fn count(self, told: &Told) -> Result<Count, BadEntry> {
        Ok(Count::Dropped {
            flow: self.flow,
            function: told.name(self.function)?.clone(),
            count: self.count,
            last_ns: self.last_ns,
        })
    }
}

impl From<Retransmitted> for Count {
    fn from(row: Retransmitted) -> Self {
        Self::Retransmitted {
            flow: row.flow,
            count: row.count,
            last_ns: row.last_ns,
        }
    }
}

/// A name that has a number from now on.
#[derive(Debug)]
pub struct NameRow {
    pub number: u32,
    pub name: Name,
}

/// A device that has a number from now on.
#[derive(Debug)]
pub struct DeviceRow {
    pub number: u32,
    pub netns: NetnsId,
    pub ifindex: u32,
    pub name: Option<Name>,
    pub mtu_bytes: u32,
}

/// What became of a packet; names are numbers.
#[derive(Clone, Copy)]
pub enum What {
    /// Function, reason.
    Dropped(u32, Option<u32>),
    IcmpSent,
    /// Whether the device was sending it, and the limit.
    Seen(bool, Option<u32>),
}

impl Item for What {
    fn put(&self, to: &mut BufWriter) -> Put {
        match self {
            Self::Dropped(function, reason) => {
                put_row(3, to)?;
                0u8.put(to)?;
                function.put(to)?;
                reason.put(to)
            }
            Self::IcmpSent => {
                put_row(1, to)?;
                1u8.put(to)
            }
            Self::Seen(egress, limit_bytes) => {
                put_row(3, to)?;
                2u8.put(to)?;
                egress.put(to)?;
                limit_bytes.put(to)
            }
        }
    }

    #[inline]
    fn take(from: &mut SliceReader<'_>) -> Taken<Self> {
        take_row(from, |row| match row.next::<u8>()? {
            0 => Ok(Self::Dropped(row.next()?, row.next()?)),
            1 => Ok(Self::IcmpSent),
            2 => Ok(Self::Seen(row.next()?, row.next()?)),
            _ => Err(NoRow::Other),
        })
    }
}

/// A packet whose names and devices are numbers.
pub struct PacketRow {
    pub what: What,
    pub flow: Flow,
    pub device: u32,
    pub has_device: bool,
    pub route: Option<u32>,
    pub peer: Option<u32>,
    pub came_in: Option<u32>,
    pub route_input: Option<u32>,
    pub route_mtu_bytes: Option<u32>,
    pub length_bytes: u32,
    pub buffer_bytes: u32,
    pub tag_bytes: u32,
    pub gso: bool,
    pub tcp: Option<Tcp>,
    pub icmp_error: Option<IcmpError>,
    pub inner: Option<Inner>,
    pub count: u64,
    pub first_ns: u64,
    pub repeats: u32,
}

impl PacketRow {
    /// The packet, without its bytes.
    ///
    /// # Errors
    ///
    /// If a number was not told.
    pub fn packet(&self, told: &Told) -> Result<Packet, BadEntry> {
        let device = |number: Option<u32>| -> Result<Option<Device>, BadEntry> {
            number.map(|it| told.device(it).cloned()).transpose()
        };
        let what = match self.what {
            What::Dropped(function, reason) => PacketKind::Dropped {
                function: told.name(function)?.clone(),
                reason: reason.map(|it| told.name(it).cloned()).transpose()?,
            },
            What::IcmpSent => PacketKind::IcmpSent,
            What::Seen(egress, limit_bytes) => PacketKind::Seen {
                egress,
                limit_bytes,
            },
        };
        let route_input = self.route_input.map(|it| told.name(it).cloned());
        Ok(Packet {
            what,
            flow: self.flow,
            device: told.device(self.device)?.clone(),
            has_device: self.has_device,
            route: device(self.route)?,
            peer: device(self.peer)?,
            came_in: device(self.came_in)?,
            route_input: route_input.transpose()?,
            route_mtu_bytes: self.route_mtu_bytes,
            length_bytes: self.length_bytes,
            buffer_bytes: self.buffer_bytes,
            tag_bytes: self.tag_bytes,
            gso: self.gso,
            tcp: self.tcp,
            icmp_error: self.icmp_error,
            inner: self.inner,
            count: self.count,
            first_ns: self.first_ns,
            repeats: self.repeats,
            head: Vec::new(),
        })
    }
}
