//! The screens of `live` and `replay`.
//!
//! Events go into a [`Watch`](crate::show::watch::Watch), keys into an [`App`]; [`draw`] makes the screen of
//! both. All of that is plain values: no clock, no file and no terminal, so that tests play any
//! sequence of events and keys and look at the screen. The terminal itself, and what the program does
//! beside drawing, are in [`terminal`] and [`run`].

pub mod app;
pub mod facts;
pub mod feed;
pub mod glyphs;
pub mod keys;
pub(crate) mod list;
pub mod panes;
pub(crate) mod prompt;
pub(crate) mod render;
pub mod run;
pub mod terminal;
pub(crate) mod text;
pub mod theme;
pub(crate) mod tree;
pub(crate) mod view;

pub use crate::show::tui::app::App;
pub use crate::show::tui::render::draw;
