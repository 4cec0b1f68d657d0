//! The places in the kernel at which a packet that is too big is dropped.

pub(crate) mod boundary;
pub(crate) mod describe;
pub(crate) mod drop_site;
pub(crate) mod limit_point;
pub(crate) mod predict;
pub(crate) mod suspect;

pub use boundary::VETH_FUNCTION;
pub use describe::{describe_briefly, describe_in_place, describe_packet, netns_label};
pub use drop_site::{Hook, Site, SiteKey, SiteKind, netfilter_hook, oversized, sighted, signalled};
pub use limit_point::Kind;
pub use predict::{Foreseen, Joints, KnownEnd, telling, too_narrow};
pub use suspect::{Relief, Suspect, suspects};
