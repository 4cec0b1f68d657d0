//! All scenarios. The names are those of the kernel facts they were measured for: A routed, B veth, C
//! bridge, L switch, G segments put together, V IPv6, X overlay, E other tunnels, M macvlan, W tagged
//! frames, N translated, K services, F fixed, S settings, H older than the trace, T other transports, R
//! beyond this host, P receivers, O other faults.

mod devices;
mod elsewhere;
mod layer2;
mod older;
mod other;
mod overlay;
mod receivers;
mod routed;
mod services;
mod tunnels;

use std::{any::Any, sync::Arc};

use anyhow::{Result, ensure};
use lab::{
    topology::{Nested, NestedLab},
    traffic::{Outcome, Transfer},
};

use crate::scenario::{Act, Expect, HasLab, Place, Play, Rest, Scenario, Want};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);
/// The payload of one full-size segment on an MTU of 1500, with TCP timestamps.
const ONE_SEGMENT: usize = 1448;

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    [
        routed::SCENARIOS,
        layer2::SCENARIOS,
        overlay::SCENARIOS,
        tunnels::SCENARIOS,
        devices::SCENARIOS,
        services::SCENARIOS,
        older::SCENARIOS,
        elsewhere::SCENARIOS,
        other::SCENARIOS,
        receivers::SCENARIOS,
    ]
    .concat()
}

const fn scenario(
    id: &'static str,
    what: &'static str,
    expect: Expect,
    act: fn() -> Result<Act>,
) -> Scenario {
    Scenario {
        id,
        what,
        expect,
        play: Play::Whole(act),
        needs: None,
    }
}

/// One that begins before the trace: `prepare` returns what is left to do under it.
const fn older(
    id: &'static str,
    what: &'static str,
    expect: Expect,
    prepare: fn() -> Result<Rest>,
) -> Scenario {
    Scenario {
        id,
        what,
        expect,
        play: Play::Rest(prepare),
        needs: None,
    }
}

const fn finds(want: Want) -> Expect {
    Expect::Finding(want)
}

/// A container host whose uplink is smaller than its inner network, at both ends.
const SMALL_UPLINK: Nested = Nested {
    container: 1500,
    uplink: 1450,
    port: 1450,
    bridge: None,
    offloads: false,
    masquerade: false,
    exclusive: false,
};

/// Where [`SMALL_UPLINK`] is too small for a download.
const ROUTED: Place = Place {
    role: "host",
    egress: NestedLab::OUTER_BRIDGE,
    function: "ip_forward",
    limit_bytes: 1450,
    packet_bytes: 1500,
};

/// Topologies that can make a transfer.
trait Runs: HasLab + Send + Sync + 'static {
    fn run(&self, transfer: &Transfer) -> Result<Outcome>;
}

macro_rules! runs {
    ($($topology:ty),*) => {
        $(impl Runs for $topology {
            fn run(&self, transfer: &Transfer) -> Result<Outcome> {
                self.run(transfer)
            }
        })*
    };
}

runs!(
    NestedLab,
    lab::topology::SwitchedLab,
    lab::topology::OverlayLab,
    lab::topology::WiredLab,
    lab::topology::DeepLab,
    lab::topology::AsymmetricLab,
    lab::topology::MacvlanLab,
    lab::topology::TrunkLab
);

/// The transfer must hang.
fn hangs(lab: impl Runs, transfer: Transfer) -> Result<Act> {
    let outcome = lab.run(&transfer)?;
    ensure!(outcome.hung(), "should hang: {outcome:?}");
    Ok(act(lab, transfer, vec![Box::new(outcome)]))
}

/// The transfer must complete.
fn completes(lab: impl Runs, transfer: Transfer) -> Result<Act> {
    let outcome = lab.run(&transfer)?;
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    Ok(act(lab, transfer, vec![Box::new(outcome)]))
}

/// The transfer may hang.
fn runs(lab: impl Runs, transfer: Transfer) -> Result<Act> {
    let outcome = lab.run(&transfer)?;
    let hung = !outcome.completed();
    let act = act(lab, transfer, vec![Box::new(outcome)]);
    Ok(Act { hung, ..act })
}

/// A scenario with what it keeps open; the transfer can be made again, on another port.
fn act(lab: impl Runs, transfer: Transfer, kept: Vec<Box<dyn Any + Send>>) -> Act {
    let lab = Arc::new(lab);
    let again = {
        let lab = Arc::clone(&lab);
        let transfer = Transfer {
            port: transfer.port + 1,
            ..transfer
        };
        Box::new(move || Ok(lab.run(&transfer)?.completed()))
    };
    Act {
        kept,
        again: Some(again),
        hung: false,
        lab,
    }
}
