//! What every layer may use: text, clocks, and questions to the kernel. It knows nothing of the others.

pub mod clock;
pub mod netlink;
pub(crate) mod row;
pub mod text;
