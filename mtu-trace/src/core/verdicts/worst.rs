//! The connection that a cause hurts most: the place where its packets die, the way there, what became
//! of the message about their size, and which remedies fit.

use crate::core::sites::{DropSite, Limit, Predicted, Remedy};
use crate::core::track::{Blocked, Track};
use crate::core::verdicts::cause::Cause;
use crate::core::verdicts::drop_reason::DropReason;
use crate::core::verdicts::facts::TrackFacts;
use crate::core::verdicts::facts::loss::LostAt;
use crate::core::verdicts::local_end::LocalEnd;
use crate::core::verdicts::message_end::MessageEnd;
use crate::core::verdicts::remedy;
use crate::core::verdicts::sentence::{HeldUp, drop_place};
use crate::core::verdicts::trouble::Trouble;
use crate::core::verdicts::way_back;
use crate::model::event::{Device, NO_REASON};
use crate::model::finding::{
    BlockedAt, Boundary, BoundaryPeer, Direction, Fix, Pmtud, ReportedDrop, ReportedHop,
};
use crate::model::netns_ref::NetnsRef;
use crate::model::network::{LinkId, Topology};

/// The connection that a cause hurts most. Each of its fixes is `None` where it does not fit or is in
/// place.
pub(crate) struct Worst<'a> {
    pub(crate) facts: TrackFacts<'a>,
    pub(crate) trouble: &'a Trouble,
    /// The user's own end.
    pub(crate) local: LocalEnd<'a>,
    /// The data of which the message to the sender is known: one may speak for many connections.
    pub(crate) told: &'a Track,
}

impl<'a> Worst<'a> {
    fn topology(&self) -> &'a Topology {
        &self.facts.state.topology
    }

    /// The place where its packets were dropped for their size, or that they were seen to go to; `None`
    /// where nothing was seen there.
    fn site(&self) -> Option<&'a DropSite> {
        let Cause::Site(key) = &self.trouble.cause else {
            return None;
        };
        let track = self.facts.track;
        let passing = track.passing.as_deref().filter(|it| it.site.key == *key);
        let drops = track.oversized.get(key).map(|drops| &**drops).or(passing)?;
        Some(&drops.site)
    }

    fn predicted(&self) -> Option<&'a Predicted> {
        self.trouble.predicted.as_deref()
    }

    /// The limit of a place, bytes: where the kernel has compared with one that is not seen there, what
    /// the message tells; `None` where none was seen either.
    fn limit_bytes(&self, site: &DropSite) -> Option<u32> {
        let told = self.told.icmp.mtu_bytes;
        let told = told.filter(|&told| told > 0 && told < site.packet_bytes);
        site.limit_bytes.or(told)
    }

    /// The longest packet that gets past the place, bytes; `None` where that is not known.
    fn fits_bytes(&self) -> Option<u32> {
        match (&self.trouble.cause, self.site()) {
            (_, Some(site)) => Some(self.limit_bytes(site)?.saturating_sub(site.overhead_bytes)),
            (Cause::Site(_), None) => Some(self.predicted()?.fits_bytes),
            (Cause::Message(..), _) => self.facts.track.icmp.mtu_bytes.filter(|&told| told > 0),
            (Cause::Other(_) | Cause::WayOut(..) | Cause::Peer(..), _) => None,
        }
    }

    /// The place as reports show it; `None` where none is known.
    pub(crate) fn boundary(&self) -> Option<Boundary> {
        let Some(site) = self.site() else {
            return Some(self.predicted()?.boundary.clone());
        };
        let topology = self.topology();
        Some(Boundary {
            netns: NetnsRef::new(site.key.netns, topology),
            ingress: site.ingress.as_ref().map(|device| name(device, topology)),
            egress: site.egress.as_ref().map(|device| name(device, topology)),
            limit_bytes: self.limit_bytes(site),
            packet_bytes: site.packet_bytes,
            overhead_bytes: site.overhead_bytes,
            function: site.key.function.to_string(),
            reason: Some(site.reason.as_deref().unwrap_or(NO_REASON).to_owned()),
            silent: site.site.is_silent(),
            peer: site.peer.as_ref().map(|peer| BoundaryPeer {
                netns: NetnsRef::new(peer.netns, topology),
                interface: Some(name(peer, topology)),
                mtu_bytes: peer.mtu_bytes,
            }),
        })
    }

    /// The way from the local end to the place and one step past it; empty where there is no place.
    pub(crate) fn path(&self) -> Vec<ReportedHop> {
        let Some(site) = self.site() else {
            let mut path = self.predicted().map_or_else(Vec::new, |it| it.path.clone());
            if self.local.direction(self.facts.side) == Direction::Download {
                path.reverse();
            }
            return path;
        };
        let index = &self.facts.state.index;
        let id = |&Device { netns, ifindex, .. }: &Device| LinkId { netns, ifindex };
        let [ingress, egress] = [&site.ingress, &site.egress].map(|it| it.as_ref().map(id));
        let start = self.local.link(self.topology());
        let way = |to| start.map_or_else(Vec::new, |start| index.path(start, &[to]));
        // The far side of the place is whichever of its devices is further away.
        let [near, far] = [egress, ingress].map(|to| to.map_or_else(Vec::new, way));
        let mut way = if far.len() > near.len() { far } else { near };
        if way.is_empty() {
            way.extend(ingress);
            way.extend(egress);
            way.extend(site.peer.as_ref().map(id));
        }
        let hops = way.into_iter();
        hops.filter_map(|at| ReportedHop::new(at.netns, at.ifindex, self.topology()))
            .collect()
    }

    /// What became of the message to the sender; `None` where neither it nor packets that are too big
    /// were seen.
    ///
    /// Where the place is a silent one, what was to be sent for it did not go: bridge netfilter asks for
    /// a message that then finds no route (`icmp6_send`).
    pub(crate) fn pmtud(&self) -> Option<Pmtud> {
        let site = self.site();
        if site.is_none() && !matches!(self.trouble.cause, Cause::Message(..)) {
            return None;
        }
        let (topology, icmp) = (self.topology(), &self.told.icmp);
        let fits_bytes = self.fits_bytes().or(site.map(DropSite::fits_bytes));
        let fits_bytes = fits_bytes.unwrap_or(0);
        let silent = site.is_some_and(|site| site.site.is_silent());
        let blocked = icmp.blocked.iter().max_by_key(|blocked| blocked.count);
        // The path MTU of a socket changes by such a message alone: probing lowers its segment size
        // only (`tcp_mtu_probing`).
        let pmtu_bytes = self.told.sender_pmtu_bytes.filter(|&pmtu| pmtu > 0);
        let came_down = pmtu_bytes.is_some_and(|pmtu| pmtu <= fits_bytes);
        let heard = came_down || icmp.is_pmtu_accepted(fits_bytes);
        let sent = icmp.generated > 0 && !silent;
        let is_lost = !heard && blocked.is_none() && (sent || !icmp.seen.is_empty());
        let ended = site
            .filter(|_| is_lost && !silent)
            .and_then(|site| MessageEnd::of(&self.facts, icmp, site));
        Some(Pmtud {
            // A message that is heeded, dropped or seen must have been generated, also where that
            // could not be observed. One that was only seen is not of a place that makes none: another
            // place on the way may have told before.
            signalled: heard || sent || blocked.is_some() || (!icmp.seen.is_empty() && !silent),
            delivered: (heard || blocked.is_some() || ended.is_some()).then_some(heard),
            blocked_at: blocked
                .filter(|_| !heard)
                .map(|blocked| BlockedAt {
                    why: self.why_dropped(blocked),
                    netns: NetnsRef::new(blocked.netns, topology),
                    hook: blocked.hook,
                    interface: blocked.device.as_ref().map(|device| name(device, topology)),
                    function: blocked.function.to_string(),
                    reason: blocked.reason.as_ref().map(ToString::to_string),
                    rule: blocked.rules.told(),
                })
                .or_else(|| {
                    ended.map(|ended| BlockedAt {
                        netns: NetnsRef::new(ended.netns, topology),
                        hook: None,
                        interface: None,
                        function: "unknown".to_owned(),
                        reason: None,
                        rule: None,
                        why: Some(ended.why),
                    })
                }),
        })
    }

    /// Why a message was dropped, in words; `None` where it was netfilter, or there are none.
    fn why_dropped(&self, blocked: &Blocked) -> Option<String> {
        let known = DropReason::named(blocked.reason.as_deref()?);
        let words = known.filter(|_| blocked.hook.is_none())?.words;
        let topology = self.topology();
        let device = blocked.device.as_ref().map(|device| name(device, topology));
        let device = device.as_deref().unwrap_or("a device that is not known");
        let (place, words) = (
            topology.label(blocked.netns),
            words.replace("{device}", device),
        );
        Some(format!("is dropped in {place} {words}"))
    }

    /// The place where its packets were dropped for another reason than their size; `None` where that is
    /// not what ails it.
    fn lost(&self) -> Option<LostAt<'a>> {
        match &self.trouble.cause {
            Cause::Other(key) => LostAt::find(&self.facts, key),
            _ => None,
        }
    }

    /// That place as reports show it.
    pub(crate) fn reported_drop(&self) -> Option<ReportedDrop> {
        let LostAt {
            key,
            drops,
            carried,
        } = self.lost()?;
        let topology = self.topology();
        Some(ReportedDrop {
            netns: NetnsRef::new(key.netns, topology),
            function: key.function.to_string(),
            reason: key.reason.as_deref().unwrap_or(NO_REASON).to_owned(),
            hook: key.hook,
            rule: drops.rules.told(),
            packets: drops.count,
            carried,
            interface: drops.device.as_ref().map(|device| name(device, topology)),
        })
    }

    /// That place in words.
    pub(crate) fn dropped(&self) -> Option<String> {
        let lost = self.lost()?;
        let device = self.reported_drop()?.interface;
        let device = device.as_deref().unwrap_or("a device that is not known");
        Some(drop_place(&lost, device, self.topology()))
    }

    /// What helps where packets are dropped for another reason than their size, best first.
    pub(crate) fn for_drop(&self) -> Vec<Fix> {
        let fix = || {
            let drop = self.reported_drop()?;
            match (drop.hook, DropReason::of(self.lost()?.key)) {
                (Some(hook), _) => remedy::accept(&drop, hook),
                (None, known) => remedy::turn(&drop, known?.knob.as_ref()?),
            }
        };
        fix().into_iter().collect()
    }

    /// What helps where a place is too narrow, best first.
    pub(crate) fn for_narrow_place(&self) -> Vec<Fix> {
        let fixes = [
            self.lower_local_mtu(),
            self.unblock(),
            self.clamp(),
            self.align(),
            self.probe(),
        ];
        fixes.into_iter().flatten().collect()
    }

    /// The user's end announces a segment size that fits its own interface.
    pub(crate) fn lower_local_mtu(&self) -> Option<Fix> {
        let fits_bytes = self.fits_bytes()?;
        let own = self.local.link(self.topology())?;
        remedy::lower_mtu(self.topology(), own.netns, own.ifindex, fits_bytes)
    }

    /// Lets the message through where it was seen to be dropped.
    fn unblock(&self) -> Option<Fix> {
        let blocked = self.pmtud()?.blocked_at?;
        let message = if self.local.flow.source.is_ipv6() {
            remedy::PACKET_TOO_BIG
        } else {
            remedy::FRAG_NEEDED
        };
        remedy::unblock(&blocked, message, &[])
    }

    /// A time in which nothing of its sender left its namespace; `None` if there was none.
    pub(crate) fn held_up(&self) -> Option<HeldUp<'a>> {
        let sent = self.facts.flow()?;
        Some(HeldUp {
            outage: self.facts.track.outage.as_deref()?,
            place: self.topology().label(sent.netns),
            to: sent.destination.ip(),
        })
    }

    /// Gives the sender its way out again.
    pub(crate) fn regain_way_out(&self) -> Option<Fix> {
        let outage = self.facts.track.outage.as_deref();
        let open = outage.filter(|outage| outage.ended_ns.is_none())?;
        let sent = self.facts.flow()?;
        let place = NetnsRef::new(sent.netns, self.topology());
        Some(way_back::regain(&place, &sent, open.lack.as_ref()))
    }

    /// Clamps the announced segment size at the router.
    fn clamp(&self) -> Option<Fix> {
        let site = self.site()?;
        let can_clamp = site.site.remedy == Remedy::ClampSegments;
        remedy::clamp(self.topology(), site.key.netns).filter(|_| can_clamp)
    }

    /// Makes the two sides of a layer-2 hole the same.
    fn align(&self) -> Option<Fix> {
        let site = self.site()?;
        let (ifindex, netns) = match (site.site.limit, &site.peer) {
            (Limit::Peer | Limit::Sibling, Some(peer)) => (peer.ifindex, peer.netns),
            (Limit::Egress | Limit::OtherPort, _) => {
                (site.egress.as_ref()?.ifindex, site.key.netns)
            }
            _ => return None,
        };
        remedy::raise_mtu(self.topology(), netns, ifindex, site.packet_bytes)
    }

    /// The stopgap on the sender.
    pub(crate) fn probe(&self) -> Option<Fix> {
        remedy::probing(self.topology(), self.facts.sender()?.socket.flow.netns)
    }

    /// What is beyond this host can only be measured.
    pub(crate) fn measure(&self) -> Option<Fix> {
        let own = self.local.end?.socket.flow;
        remedy::measure(self.topology(), own.netns, own.destination.ip())
    }
}

/// A device by its name; one that was too new to be known at the event may be known now. By its
/// number where it has gone unnamed.
fn name(device: &Device, topology: &Topology) -> String {
    match (&device.name, topology.link(device.netns, device.ifindex)) {
        (Some(name), _) => name.to_string(),
        (None, Some(link)) => link.name.clone(),
        (None, None) => format!("if{}", device.ifindex),
    }
}
