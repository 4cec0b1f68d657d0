//! mtu-trace finds the TCP connections that stall because a packet is too big for a link, and says
//! where, why nobody told the sender, and what to set.
//!
//! Layers, each of which uses only those before it: `base`, `model`, `core` (graph, sites,
//! firewall, track, select, verdicts, audit), `host`, `kernel`, `capture`, `show`, `cli`,
//! `commands`.
//!
//! Data flows one way: kernel record, decoded and attributed (`kernel`), to events
//! (`model::event`), to connections (`core::track`), to findings (`core::verdicts`), to a
//! report (`show::report`). Between the events and the connections they can be kept in a file, and
//! read from it (`capture`). What the screens (`show::tui`) show of them is gathered in
//! `show::watch`.

mod base;
mod capture;
mod cli;
mod commands;
mod core;
mod host;
mod kernel;
mod model;
mod show;

pub use commands::run;

/// What tests, benchmarks and fuzz targets are written against; it changes with what they need.
#[doc(hidden)]
pub mod testing {
    pub use crate::base::clock::{Clock, monotonic_ns};
    pub use crate::base::text::printable;
    pub use crate::capture::{
        Encoder, Input, MOST_BLOCK_BYTES, PartEnd, PartHeader, ReadError, Reader,
    };
    /// How a capture is opened.
    pub mod capture {
        pub use crate::capture::{open, unpacked};
    }
    pub use crate::cli::Cli;
    pub use crate::core::audit::{Audit, Circumstances, Firewalls, PlannedNetwork};
    pub use crate::core::select::{Scope, Selection};
    pub use crate::core::sites::{
        BALANCER, BRIDGE_NETFILTER, DATAPATH_PORT, DropSite, FORWARD, IPVLAN, OUTPUT, SITES, Site,
        VETH, names, oversized,
    };
    pub use crate::core::verdicts::Analysis;
    pub use crate::host::identity::engine::ENGINES;
    pub use crate::host::netns::NetnsFile;
    pub use crate::host::watcher::{Depth, Watcher};
    pub use crate::kernel::{
        Coverage, Covered, DecodeError, Decoder, HOOKS, KernelTypes, LiveTrace, LoadOptions, flow,
        key, name_devices,
    };
    pub use crate::model::event::{
        Closed, Count, Device, DropRule, Event, EventKind, Flow, IcmpError, Isn, Packet,
        PacketKind, PathMtu, Quoted, Retransmit, Sample, SendError, Socket, TCP, Tcp, TcpState,
        Timers, UDP,
    };
    pub use crate::model::finding::{Carried, Confidence, Direction, Finding, Severity, Verdict};
    pub use crate::model::hook_status::HookStatus;
    pub use crate::model::network::{
        Address, Container, Inside, LearnedPathMtu, Link, LinkKind, Netns, NetnsId, NextHop, Peer,
        Process, Route, RouteKind, Topology,
    };
    pub use crate::model::store::{Consequence, Evictions, Store, StoreState};
    pub use crate::show::export::{CsvRow, ExportFormat, ExportedEvent};
    pub use crate::show::replay::{PlayStep, Replay};
    pub use crate::show::report::{Capture, Format, Report, SCHEMA, Style};
    pub use crate::show::tui::app::{Effect, Overlay, Shown};
    pub use crate::show::tui::facts::{Playing, Risks, SpoolState, TraceFacts};
    pub use crate::show::tui::feed::{FeedItem, feed};
    pub use crate::show::tui::glyphs::{ASCII, Glyphs, UNICODE};
    pub use crate::show::tui::keys::{Action, KEYS, Mode, action, bindings};
    pub use crate::show::tui::panes::{PANES, Pane};
    pub use crate::show::tui::run::{Ending, Source, run};
    pub use crate::show::tui::terminal::Screen;
    pub use crate::show::tui::theme::Theme;
    pub use crate::show::tui::{App, draw};
    pub use crate::show::watch::Watch;
}
