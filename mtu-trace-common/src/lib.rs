//! What the kernel programs and user space agree on: the records that cross the ring buffer, the
//! keys and values of the maps, and the table of kernel structure members whose offsets user
//! space resolves from BTF before loading.
//!
//! Everything here is plain old data in host byte order unless a comment says otherwise. Kinds and
//! flags are integers, never Rust enums: a record is bytes until user space has checked it.
#![no_std]

pub mod layout;
pub mod map;
pub mod pace;
pub mod record;
