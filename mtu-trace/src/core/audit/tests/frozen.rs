//! What is said of made-up networks, kept whole in `tests/core/frozen/`: a change that means another
//! thing by a network than before shows here, whichever of its walkers it was. `INSTA_UPDATE=always
//! cargo test` writes the files anew, which only a decided difference justifies.

use std::fmt::Write as _;

use insta::{Settings, assert_snapshot};
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::overlay::overlay;
use super::planned::{engine, waiting};
use super::{brief, check_with, nested, random, switched};
use crate::core::graph::TopologyIndex;
use crate::core::graph::fixture::Lab;
use crate::core::sites::{KnownEnd, telling, too_narrow};
use crate::model::engine::Dockerd;
use crate::model::network::{LinkKind, NetnsId, OuterDf, Topology};

/// Random networks that make no sense, and as many that are wrong in a few numbers.
const RANDOM_NETWORKS: usize = 250;
/// The length of a packet that is asked for in bytes: what most senders have.
const PACKET_BYTES: u32 = 1500;

/// A network with the engines that run in it.
struct Fixture {
    name: String,
    lab: Lab,
    engines: Vec<Dockerd>,
}

fn fixture(name: &str, mut lab: Lab, change: impl FnOnce(&mut Lab)) -> Fixture {
    change(&mut lab);
    Fixture {
        name: name.to_owned(),
        lab,
        engines: Vec::new(),
    }
}

fn same(_: &mut Lab) {}

/// Sets what a tunnel says of outer packets, on both nodes of an overlay.
fn outer_df(df: OuterDf) -> impl FnOnce(&mut Lab) {
    move |lab| {
        for node in [3, 4] {
            let tunnel = lab.link_mut(node, "vx0").tunnel.as_mut();
            tunnel.expect("a tunnel").df = df;
        }
    }
}

/// The networks that the other tests of the audit are about.
fn fixtures() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for (inner, uplink, port) in [
        (1500, 1450, 1450),
        (1500, 1450, 1500),
        (1500, 1496, 1500),
        (1500, 1495, 1500),
        (9000, 1500, 1500),
        (1500, 1500, 1500),
        (1500, 576, 1280),
    ] {
        let name = format!("nested {inner} {uplink} {port}");
        fixtures.push(fixture(&name, nested(inner, uplink, port), same));
    }
    for (port, netfilter) in [(1450, 0), (1450, 1), (1497, 0), (1497, 1)] {
        let name = format!("switched {port} netfilter {netfilter}");
        fixtures.push(fixture(&name, switched(port, netfilter), same));
    }
    for (mtu, underlay, far) in [(1500, 1500, 1500), (1450, 1500, 1400), (1500, 1400, 1400)] {
        for (carries, bridged) in [("bridged", true), ("routed", false)] {
            for df in [OuterDf::Unset, OuterDf::Set, OuterDf::Inherit] {
                let name = format!("overlay {mtu} {underlay} {far} {carries} {df:?}");
                let lab = overlay(mtu, underlay, far, bridged);
                fixtures.push(fixture(&name, lab, outer_df(df)));
            }
        }
    }
    for (uplink, port, given) in [
        (1450, 1450, 1500),
        (1450, 1500, 1500),
        (1496, 1500, 1500),
        (1450, 1500, 1450),
        (1500, 1500, 9000),
    ] {
        let name = format!("waiting {uplink} {port} given {given}");
        fixtures.push(Fixture {
            engines: vec![engine("docker0", given)],
            ..fixture(&name, waiting(uplink, port), same)
        });
    }
    fixtures.extend(changed());
    fixtures
}

/// The same networks with one thing changed that makes all the difference.
fn changed() -> Vec<Fixture> {
    let small = || nested(1500, 1450, 1450);
    vec![
        fixture("bridge larger than its port", small(), |lab| {
            lab.link_mut(3, "br0").mtu_bytes = 1500;
        }),
        fixture("route of the sender smaller", small(), |lab| {
            for route in &mut lab.inside(1).routes {
                route.mtu_bytes = Some(1450);
            }
        }),
        fixture("sender without DF", small(), |lab| {
            lab.inside(4).sysctls.ip_no_pmtu_disc = Some(1);
        }),
        fixture("sender without DF, veth", nested(1500, 1450, 1500), |lab| {
            lab.inside(4).sysctls.ip_no_pmtu_disc = Some(1);
        }),
        fixture("sender that probes", nested(1500, 1450, 1500), |lab| {
            lab.inside(4).sysctls.tcp_mtu_probing = Some(2);
        }),
        fixture("namespace gone", small(), |lab| lab.netns(1).gone = true),
        fixture("link down", small(), |lab| {
            lab.link_mut(2, "eth0").up = false;
        }),
        fixture("way out and a tunnel without another end", small(), |lab| {
            lab.link(3, "ens18", "physical", 1400);
            lab.link(3, "wg0", "wireguard", 1420);
            lab.address(3, "ens18", "10.2.0.7/24")
                .address(3, "wg0", "10.9.0.1/24")
                .route(3, "0.0.0.0/0", "10.2.0.1", "ens18");
        }),
        fixture("macvlan on the uplink", small(), |lab| {
            lab.stacked((5, "eth0", "macvlan", 1400), (3, "ext0"));
            lab.address(5, "eth0", "203.0.113.5/28");
        }),
        fixture("vlan on the uplink", small(), |lab| {
            lab.stacked((3, "ext0.7", "vlan", 1500), (3, "ext0"));
            lab.stacked((4, "eth0.7", "vlan", 1496), (4, "eth0"));
            lab.address(3, "ext0.7", "10.7.0.1/24")
                .address(4, "eth0.7", "10.7.0.2/24");
        }),
        fixture("netkit in place of a veth", small(), |lab| {
            lab.link_mut(2, "eth0").kind = LinkKind::Netkit;
            lab.link_mut(3, "vethx").kind = LinkKind::Netkit;
        }),
        fixture(
            "tunnels of other numbers",
            overlay(1500, 1500, 1500, true),
            |lab| {
                let tunnel = lab.link_mut(4, "vx0").tunnel.as_mut();
                tunnel.expect("a tunnel").id = Some(43);
            },
        ),
    ]
}

/// Networks that only chance would make, always the same.
fn random_fixtures() -> Vec<Fixture> {
    let mut runner = TestRunner::deterministic();
    let mut fixtures = Vec::new();
    for number in 0..RANDOM_NETWORKS {
        for (name, lab) in [
            ("odd network", drawn(&random::odd_network(), &mut runner)),
            ("odd number", drawn(&random::odd_number(), &mut runner)),
        ] {
            fixtures.push(Fixture {
                name: format!("{name} {number}"),
                lab,
                engines: ["bridge", "docker0"]
                    .map(|name| engine(name, 1500))
                    .to_vec(),
            });
        }
    }
    fixtures
}

fn drawn<T>(strategy: &impl Strategy<Value = T>, runner: &mut TestRunner) -> T {
    strategy.new_tree(runner).expect("a value").current()
}

fn kept(name: &str, text: &str) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/core/frozen"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_snapshot!(name, text));
}

/// What `check` finds: a line for each finding, whole.
fn findings(fixture: &Fixture) -> String {
    let found = check_with(&fixture.lab, &fixture.engines);
    let lines = found.iter().map(|finding| {
        let json = serde_json::to_string(finding).expect("a finding is JSON");
        format!("  {json}\n")
    });
    lines.collect()
}

/// The addresses that anybody has.
fn addresses(topology: &Topology) -> Vec<std::net::IpAddr> {
    let links = topology
        .living()
        .flat_map(|(_, netns)| netns.links.values());
    let owned = links.flat_map(|link| &link.addresses);
    owned.map(|own| own.address).collect()
}

/// What is foreseen between all namespaces and addresses: where packets of [`PACKET_BYTES`] die, and who
/// tells the sender so.
fn foreseen(index: &TopologyIndex) -> String {
    let mut text = String::new();
    for (from, _) in index.topology.living() {
        for to in addresses(&index.topology) {
            let ends = [
                ("sends", KnownEnd::Sender(from, to)),
                ("receives", KnownEnd::Receiver(from, to)),
            ];
            for (does, end) in ends {
                let Some(found) = too_narrow(index, end, PACKET_BYTES) else {
                    continue;
                };
                let tells = telling(index, from, to, found.fits_bytes).is_some();
                let boundary = serde_json::to_string(&found.boundary).expect("it is JSON");
                let way = found.path.iter().map(|hop| hop.interface.as_str());
                writeln!(
                    text,
                    "  {} {does} {to}: by {} at most {} on {}, {} {boundary}",
                    from.0,
                    found.egress,
                    found.fits_bytes,
                    way.collect::<Vec<_>>().join(">"),
                    if tells { "told" } else { "untold" },
                )
                .expect("a string takes all");
            }
        }
    }
    text
}

/// What the tracer makes of a network: the limits it gives to the kernel, which namespaces are
/// connected, and the ways between boundary devices.
fn walked(index: &TopologyIndex) -> String {
    let mut text = String::new();
    let all = index.limits();
    write!(text, "  smallest {:?};", all.smallest_bytes).expect("a string takes all");
    for ((netns, ifindex), limit) in &all.devices {
        let (ingress, egress) = (limit.ingress_bytes, limit.egress_bytes);
        write!(text, " {}/{ifindex} {ingress} {egress};", netns.0).expect("a string takes all");
    }
    let networks = index.networks();
    let known: Vec<NetnsId> = index.topology.namespaces.keys().copied().collect();
    text.push_str("\n  networks");
    for &one in &known {
        for &other in &known {
            let sign = match (
                networks.are_connected(one, other),
                networks.are_apart(one, other),
            ) {
                (true, _) => '=',
                (false, true) => '/',
                (false, false) => '?',
            };
            text.push(sign);
        }
    }
    text.push('\n');
    let devices: Vec<_> = index.boundary_devices().collect();
    for &from in &devices {
        let Some(&to) = devices.iter().rev().find(|to| to.netns != from.netns) else {
            continue;
        };
        let way = index.path(from, &[to]);
        let way = way
            .iter()
            .map(|hop| format!("{}/{}", hop.netns.0, hop.ifindex));
        let way = way.collect::<Vec<_>>().join(">");
        writeln!(text, "  {}/{} way {way}", from.netns.0, from.ifindex)
            .expect("a string takes all");
    }
    text
}

/// One text of all, each under its name.
fn told(fixtures: &[Fixture], tell: impl Fn(&Fixture) -> String) -> String {
    let of = |fixture: &Fixture| format!("{}\n{}", fixture.name, tell(fixture));
    fixtures.iter().map(of).collect()
}

#[test]
fn check() {
    kept("audit_check", &told(&fixtures(), findings));
}

#[test]
fn predictions() {
    let text = told(&fixtures(), |fixture| foreseen(&fixture.lab.graph()));
    kept("audit_predictions", &text);
}

#[test]
fn walkers() {
    let text = told(&fixtures(), |fixture| walked(&fixture.lab.graph()));
    kept("audit_walkers", &text);
}

/// In brief, with the check sum of what is said at length: there are many.
#[test]
fn random_networks() {
    let summed = |text: &str| {
        let mut sum = flate2::Crc::new();
        sum.update(text.as_bytes());
        sum.sum()
    };
    let text = told(&random_fixtures(), |fixture| {
        let index = fixture.lab.graph();
        let found = brief(&check_with(&fixture.lab, &fixture.engines));
        let mut text: String = found.iter().map(|line| format!("  {line}\n")).collect();
        let sums = [findings(fixture), foreseen(&index), walked(&index)];
        let [check, predictions, walkers] = sums.each_ref().map(|text| summed(text));
        writeln!(
            text,
            "  check {check:08x} predictions {predictions:08x} walkers {walkers:08x}"
        )
        .expect("a string takes all");
        text
    });
    kept("audit_random", &text);
}
