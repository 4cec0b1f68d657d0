//! The screens of `live` and `replay`.
//!
//! Events go into a [`Watch`](crate::watch::Watch), keys into an [`App`]; [`draw`] makes the screen of
//! both. All of that is plain values: no clock, no file and no terminal, so that tests play any
//! sequence of events and keys and look at the screen. The terminal itself, and what the program does
//! beside drawing, are in [`terminal`] and [`run`].

pub mod action;
pub mod app;
pub mod facts;
pub mod feed;
pub mod glyphs;
pub mod keys;
mod list;
mod osc52;
mod prompt;
mod render;
pub mod run;
pub mod terminal;
mod text;
pub mod theme;
mod tree;
mod view;

pub use app::App;
pub use render::draw;
