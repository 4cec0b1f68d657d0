//! How flows and their ends are hashed: as few and as wide numbers as they have. What the standard library
//! makes of an address is many small ones, and most events are found by a flow.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use crate::model::event::Flow;

/// One end of a flow, as it is hashed.
#[derive(Clone, Copy)]
pub(crate) struct FlowEnd(pub SocketAddr);

impl Hash for FlowEnd {
    #[inline]
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self.0 {
            SocketAddr::V4(end) => {
                to.write_u64(u64::from(u32::from(*end.ip())) << 16 | u64::from(end.port()));
            }
            SocketAddr::V6(end) => {
                to.write_u128(u128::from(*end.ip()));
                to.write_u16(end.port());
            }
        }
    }
}

impl Hash for Flow {
    #[inline]
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u64(self.netns.0);
        FlowEnd(self.source).hash(to);
        FlowEnd(self.destination).hash(to);
        to.write_u8(self.protocol);
    }
}
