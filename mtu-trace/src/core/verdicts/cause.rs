//! What several connections may share: the thing to be mended.

use std::net::IpAddr;

use crate::core::sites::{NetfilterHookName, Predicted, SiteKey};
use crate::core::track::{OtherKey, SiteDrops, Track};
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
            | Self::Message(netns, ..) => Some(*netns),
            Self::Peer(..) => None,
        }
    }

    /// What one direction of a connection lost at the place for its size, or sent towards it; `None`
    /// where nothing was seen there.
    pub fn site<'a>(&self, track: &'a Track) -> Option<&'a SiteDrops> {
        let Self::Site(key) = self else {
            return None;
        };
        let passing = track.passing.as_deref();
        let drops = track.oversized.get(key).map(|drops| &**drops);
        drops.or(passing.filter(|passing| passing.site.key == *key))
    }

    /// The longest packet that gets past the place, bytes; `None` where that is not known.
    pub fn fits_bytes(&self, track: &Track, predicted: Option<&Predicted>) -> Option<u32> {
        match self {
            Self::Site(_) => match self.site(track) {
                Some(drops) => Some(drops.site.fits_bytes()),
                None => predicted.map(|predicted| predicted.fits_bytes),
            },
            Self::Message(..) => track.icmp.mtu_bytes.filter(|&told| told > 0),
            Self::Other(_) | Self::Peer(..) => None,
        }
    }

    /// Whether something was seen of path MTU discovery: packets too big, or the message about them.
    pub fn concerns_pmtud(&self, track: &Track) -> bool {
        matches!(self, Self::Message(..)) || self.site(track).is_some()
    }
}
