//! What every layer may use: text, clocks, and questions to the kernel. It knows nothing of the others.

pub mod attributes;
pub mod clock;
pub mod netlink;
pub mod printable;
pub mod quote;
pub mod wall_clock;
pub mod wrap;
