//! All scenarios. The names are those of the kernel facts they were measured for: A routed, B veth, C
//! bridge, L switch, G segments put together, V IPv6, X overlay, E other tunnels, Y gateways, M macvlan, W
//! tagged frames, N translated, K services, F fixed, S settings, H older than the trace, T other
//! transports, R beyond this host, P receivers, U senders without a way out, O other faults, D several
//! levels and ways that differ, Q packets dropped for other reasons.

mod devices;
mod dropped;
mod elsewhere;
mod gateways;
mod layer2;
mod older;
mod other;
mod overlay;
mod receivers;
mod routed;
mod routed_ipv6;
mod senders;
mod services;
mod tunnels;

use std::any::Any;
use std::sync::Arc;

use anyhow::{Result, ensure};
use lab::topology::{Nested, NestedLab};
use lab::traffic::{Outcome, Transfer};

use crate::foreseen::Foreseen;
use crate::scenario::{Act, Begins, Expect, Network, Place, Scenario, Traffic, Want};

const DOWNLOAD: Transfer = Transfer::download(20_000);
const UPLOAD: Transfer = Transfer::upload(20_000);
/// The payload of one full-size segment on an MTU of 1500, with TCP timestamps.
const ONE_SEGMENT: usize = 1448;

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    [
        routed::SCENARIOS,
        routed_ipv6::SCENARIOS,
        layer2::SCENARIOS,
        overlay::SCENARIOS,
        tunnels::SCENARIOS,
        gateways::SCENARIOS,
        devices::SCENARIOS,
        services::SCENARIOS,
        older::SCENARIOS,
        elsewhere::SCENARIOS,
        other::SCENARIOS,
        dropped::SCENARIOS,
        receivers::SCENARIOS,
        senders::SCENARIOS,
    ]
    .concat()
}

const fn scenario(
    id: &'static str,
    what: &'static str,
    expect: Expect,
    build: fn() -> Result<Traffic>,
) -> Scenario {
    Scenario {
        id,
        what,
        expect,
        build,
        begins: Begins::UnderTrace,
        foreseen: Foreseen::AsFound,
        counts: &[],
        needs: None,
    }
}

/// One that begins before the trace: the traffic that `build` returns is what is left to do under it.
const fn older(
    id: &'static str,
    what: &'static str,
    expect: Expect,
    build: fn() -> Result<Traffic>,
) -> Scenario {
    Scenario {
        begins: Begins::BeforeTrace,
        ..scenario(id, what, expect, build)
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
    ingress: Some(NestedLab::EXTERNAL),
    egress: NestedLab::OUTER_BRIDGE,
    function: "ip_forward",
    limit_bytes: 1450,
    packet_bytes: 1500,
};

/// Traffic other than one transfer of its own.
fn traffic(work: impl FnOnce() -> Result<Act> + Send + 'static) -> Result<Traffic> {
    Ok(Box::new(work))
}

/// The transfer must hang.
fn hangs(lab: impl Network + 'static, transfer: Transfer) -> Result<Traffic> {
    traffic(move || {
        let outcome = lab.run(&transfer)?;
        hung(lab, transfer, outcome)
    })
}

/// The transfer must complete.
fn completes(lab: impl Network + 'static, transfer: Transfer) -> Result<Traffic> {
    traffic(move || {
        let outcome = lab.run(&transfer)?;
        completed(lab, transfer, outcome)
    })
}

/// The transfer may hang.
fn runs(lab: impl Network + 'static, transfer: Transfer) -> Result<Traffic> {
    traffic(move || {
        let outcome = lab.run(&transfer)?;
        let hung = !outcome.completed();
        let act = act(lab, transfer, outcome);
        Ok(Act { hung, ..act })
    })
}

/// A transfer that hung, as it must.
fn hung(lab: impl Network + 'static, transfer: Transfer, outcome: Outcome) -> Result<Act> {
    ensure!(outcome.hung(), "should hang: {outcome:?}");
    Ok(act(lab, transfer, outcome))
}

/// A transfer that completed, as it must.
fn completed(lab: impl Network + 'static, transfer: Transfer, outcome: Outcome) -> Result<Act> {
    ensure!(outcome.completed(), "should complete: {outcome:?}");
    Ok(act(lab, transfer, outcome))
}

/// A scenario whose transfer has been made; it can be made again, on another port.
fn act(lab: impl Network + 'static, transfer: Transfer, outcome: Outcome) -> Act {
    let ends = [outcome.client, outcome.server];
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
        kept: vec![Box::new(outcome)],
        again: Some(again),
        hung: false,
        ends: Some(ends),
        lab,
    }
}

/// A scenario whose traffic is no transfer that could be made again, with what it keeps open.
fn once(lab: impl Network + 'static, kept: Vec<Box<dyn Any + Send + Sync>>) -> Act {
    Act {
        kept,
        again: None,
        hung: false,
        ends: None,
        lab: Arc::new(lab),
    }
}
