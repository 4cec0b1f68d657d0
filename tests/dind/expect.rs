//! What the report has to say of a build that hangs.

use anyhow::{Context, Result, ensure};
use lab::report::Finding;
use serde_json::Value;

use super::engine::{Container, OUTER};
use super::host::{Host, NARROW};
use super::trace::Told;

/// The longest a stall may take from its first lost packet to its verdict, seconds.
const LATEST_S: f64 = 2.0;
/// The MTU of an engine's bridge that nobody has set.
const WIDE: u32 = 1500;
/// Settings that a fix has to name: the engine's, a network's, two CI systems'.
const SETTINGS: [&str; 4] = [
    "--mtu 1450",
    "com.docker.network.driver.mtu=1450",
    "`mtu: 1450` of Drone",
    "docker:dind service",
];

/// A build that hangs, as its engines know it.
pub struct Expected<'a> {
    /// The host that the engines run on.
    pub host: &'a Host,
    /// The container of the build's step.
    pub step: &'a Container,
    /// The identifier of the outer container.
    pub outer: &'a str,
    /// The bridge in the outer container.
    pub inner_bridge: &'a str,
}

/// The black hole of a report, if it is the only error and says what is `expected`; and the seconds from
/// the first lost packet to the verdict.
pub fn black_hole<'a>(told: &'a Told, expected: &Expected<'_>) -> Result<(&'a Value, f64)> {
    let errors: Vec<_> = errors(told);
    ensure!(
        errors.len() == 1,
        "{} errors instead of one:\n{}",
        errors.len(),
        everything(told)
    );
    let (finding, value) = errors[0];
    let took = finding.detected_at.duration_since(finding.first_seen);
    let took = took.as_secs_f64();
    let differences = differences(finding, value, took, expected)?;
    ensure!(
        differences.is_empty(),
        "the report is wrong:\n{}\n{value:#}\n{}",
        differences.join("\n"),
        told.said.join("\n")
    );
    Ok((value, took))
}

/// In what a finding differs from what is expected.
fn differences(
    finding: &Finding,
    value: &Value,
    took: f64,
    expected: &Expected<'_>,
) -> Result<Vec<String>> {
    let mut differences = different_members(value, expected)?;
    differences.extend(lacking_hops(value, expected)?);
    let fixes = value["fixes"].to_string();
    for setting in SETTINGS {
        if !fixes.contains(setting) {
            differences.push(format!("no fix names {setting}"));
        }
    }
    if !(0.0..LATEST_S).contains(&took) {
        differences.push(format!("the verdict took {took:.2} s"));
    }
    if !finding.ongoing {
        differences.push("it is over".to_owned());
    }
    Ok(differences)
}

fn different_members(value: &Value, expected: &Expected<'_>) -> Result<Vec<String>> {
    let Expected { step, outer, .. } = *expected;
    let container = "/connection/local/netns/container";
    let (id, name) = (format!("{container}/id"), format!("{container}/name"));
    let image = format!("{container}/image");
    let parent = format!("{container}/parent/container/id");
    let parent_name = format!("{container}/parent/container/name");
    let host = expected.host.netns()?;
    let members: [(&str, &str, Value); 11] = [
        ("the verdict", "/verdict", "mtu-black-hole".into()),
        ("the container", &id, step.id.as_str().into()),
        ("its name", &name, step.name.as_str().into()),
        ("its image", &image, step.image.as_str().into()),
        ("the parent", &parent, outer.into()),
        ("its name", &parent_name, OUTER.into()),
        ("the limit", "/boundary/limit_bytes", NARROW.into()),
        ("the packet", "/boundary/packet_bytes", WIDE.into()),
        (
            "the boundary's namespace",
            "/boundary/netns/name",
            host.name().into(),
        ),
        ("the ICMP's end", "/pmtud/blocked_at/hook", "OUTPUT".into()),
        ("the direction", "/connection/direction", "download".into()),
    ];
    let different = members.iter().filter_map(|(what, pointer, wanted)| {
        let found = value.pointer(pointer).unwrap_or(&Value::Null);
        (found != wanted).then(|| format!("{what} is {found}, not {wanted}"))
    });
    Ok(different.collect())
}

/// The bridges that the path of a finding should lead over, and does not.
fn lacking_hops(value: &Value, expected: &Expected<'_>) -> Result<Vec<String>> {
    let mut lacking = Vec::new();
    let host = expected.host.netns()?;
    let hop = |interface: &dyn Fn(&str) -> bool, mtu: u32, here: &dyn Fn(&Value) -> bool| {
        let path = value["path"].as_array();
        path.into_iter().flatten().any(|hop| {
            hop["mtu_bytes"] == mtu
                && hop["interface"].as_str().is_some_and(interface)
                && here(&hop["netns"])
        })
    };
    let in_outer = |netns: &Value| netns["container"]["id"] == expected.outer;
    if !hop(&|name| name == expected.inner_bridge, WIDE, &in_outer) {
        let bridge = expected.inner_bridge;
        lacking.push(format!(
            "the path lacks {bridge} (1500) of the outer container"
        ));
    }
    let in_host = |netns: &Value| netns["name"] == host.name();
    if !hop(&|name| name.starts_with("br-"), NARROW, &in_host) {
        lacking.push("the path lacks the network's bridge (1450) of the host".to_owned());
    }
    Ok(lacking)
}

/// The black hole of a report, if it is the only error and its container has the members of `container`.
pub fn container<'a>(told: &'a Told, members: &Value) -> Result<&'a Value> {
    let errors = errors(told);
    ensure!(errors.len() == 1, "not one error:\n{}", everything(told));
    let value = &errors[0].1;
    let found = &value["connection"]["local"]["netns"]["container"];
    let wanted = members.as_object().context("members of a container")?;
    let is_right = value["verdict"] == "mtu-black-hole"
        && wanted.iter().all(|(key, wanted)| found[key] == *wanted);
    ensure!(is_right, "not {members}:\n{value:#}");
    Ok(value)
}

/// Fails unless the report says of the host only `verdict`, or nothing for `None`.
pub fn only(told: &Told, verdict: Option<&str>) -> Result<()> {
    let found: Vec<&str> = told
        .findings
        .iter()
        .map(|(finding, _)| finding.verdict.as_str())
        .collect();
    ensure!(
        found.iter().all(|found| Some(*found) == verdict) && found.is_empty() == verdict.is_none(),
        "findings are {found:?}, not {verdict:?}:\n{}",
        everything(told)
    );
    Ok(())
}

/// The option that begins so in the first fix, as it is printed.
pub fn printed_option(finding: &Value, start: &str) -> Result<Vec<String>> {
    let detail = finding["fixes"][0]["detail"].as_str().unwrap_or_default();
    let option = detail
        .split('`')
        .find(|quoted| quoted.starts_with(start))
        .with_context(|| format!("the first fix has no {start}: {detail}"))?;
    Ok(option.split(' ').map(str::to_owned).collect())
}

/// The commands of the first fix whose title begins so, as they are printed.
pub fn printed_commands(finding: &Value, title: &str) -> Result<Vec<String>> {
    let fixes = finding["fixes"].as_array().context("a finding has fixes")?;
    let fix = fixes
        .iter()
        .find(|fix| {
            fix["title"]
                .as_str()
                .is_some_and(|it| it.starts_with(title))
        })
        .with_context(|| format!("no fix begins with {title:?}"))?;
    let commands = fix["commands"].as_array().context("a fix has commands")?;
    let commands: Vec<String> = commands
        .iter()
        .filter_map(|command| command.as_str().map(str::to_owned))
        .collect();
    ensure!(!commands.is_empty(), "{title:?} has no commands");
    Ok(commands)
}

fn errors(told: &Told) -> Vec<&(Finding, Value)> {
    told.findings
        .iter()
        .filter(|(finding, _)| finding.severity > lab::report::Severity::Info)
        .collect()
}

fn everything(told: &Told) -> String {
    let findings: Vec<String> = told
        .findings
        .iter()
        .map(|(_, value)| format!("{value:#}"))
        .collect();
    format!("{}\n{}", findings.join("\n"), told.said.join("\n"))
}
