//! What several connections may share: the thing to be mended.

use std::net::IpAddr;

use crate::core::sites::{NetfilterHookName, SiteKey};
use crate::core::track::OtherKey;
use crate::model::event::Name;
use crate::model::network::NetnsId;

/// What several connections may share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A place where packets are dropped for their size.
    Site(SiteKey),
    /// A place where they are dropped for another reason.
    Other(OtherKey),
    /// The message about their size is dropped at a place: namespace, function and hook.
    Message(NetnsId, Name, Option<NetfilterHookName>),
    /// The way out of a namespace, with the name of what it lacks; empty where that is not known.
    WayOut(NetnsId, Name),
    /// Something at or before one peer, by its address and the network it is of: networks that have
    /// nothing to do with each other may have the same addresses.
    Peer(Option<NetnsId>, IpAddr),
}

impl Cause {
    /// The namespace of the place; `None` where the cause is no place. A whole network is none.
    pub fn netns(&self) -> Option<NetnsId> {
        match self {
            Self::Site(SiteKey { netns, .. })
            | Self::Other(OtherKey { netns, .. })
            | Self::Message(netns, ..)
            | Self::WayOut(netns, _) => Some(*netns),
            Self::Peer(..) => None,
        }
    }
}
