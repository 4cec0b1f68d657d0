//! `check` on overlays: a tunnel that leaves no room for what it adds, and one laid on something too
//! small. What the kernel really does in each of them is shown by the lab's own tests.

use anyhow::{Context, Result, ensure};
use lab::audit;
use lab::firewall::{Hook, drop_frag_needed};
use lab::report::{Finding, Severity};
use lab::topology::{Overlay, OverlayLab};
use lab::tracer::Recording;

/// The overlay has the underlay's MTU: 50 bytes are missing.
fn too_large() -> Overlay {
    Overlay {
        overlay: 1500,
        container: 1500,
        ..Overlay::default()
    }
}

/// The finding of IPv4 at a node's device.
fn at<'a>(
    audit: &'a Recording,
    lab: &OverlayLab,
    node: u64,
    device: &str,
    function: &str,
) -> Result<&'a Finding> {
    audit
        .findings(&lab.lab)
        .into_iter()
        .find(|finding| {
            finding.boundary.as_ref().is_some_and(|boundary| {
                boundary.netns.inode == node
                    && boundary.egress.as_deref() == Some(device)
                    && boundary.function == function
            })
        })
        .with_context(|| format!("nothing at {device}, {function}\n{}", audit.everything()))
}

const TELLS: &str = "skb_tunnel_check_pmtu";
const FRAGMENTS: &str = "ip_fragment";

#[test]
fn room_for_the_tunnel_is_left_alone() -> Result<()> {
    for routed in [false, true] {
        let lab = Overlay {
            routed,
            ..Overlay::default()
        }
        .build()?;
        let audit = audit::check()?;
        ensure!(
            audit.findings(&lab.lab).is_empty(),
            "{}",
            audit.everything()
        );
    }
    Ok(())
}

#[test]
fn x1_missing_bytes_are_named() -> Result<()> {
    let lab = too_large().build()?;
    let audit = audit::check()?;
    let node = lab.node2()?.inode();
    let finding = at(&audit, &lab, node, OverlayLab::TUNNEL, TELLS)?;
    ensure!(finding.severity == Severity::Warning, "{finding:?}");
    let boundary = finding.boundary.as_ref().context("no boundary")?;
    ensure!(
        (boundary.limit_bytes, boundary.packet_bytes, boundary.silent) == (1450, 1500, false),
        "{boundary:?}"
    );
    ensure!(
        finding.summary.contains("adds 50 bytes"),
        "{}",
        finding.summary
    );
    let fix = finding
        .fixes
        .iter()
        .find(|fix| fix.title.contains(OverlayLab::TUNNEL))
        .with_context(|| format!("no fix for the tunnel: {:?}", finding.fixes))?;
    ensure!(
        fix.commands
            .iter()
            .any(|command| command.contains("vxlan0 mtu 1450")),
        "{fix:?}"
    );
    let tunnels = finding
        .path
        .iter()
        .filter(|hop| hop.kind == "vxlan")
        .count();
    ensure!(tunnels == 2, "{:?}", finding.path);
    Ok(())
}

#[test]
fn x3_message_dropped_by_the_container() -> Result<()> {
    let lab = too_large().build()?;
    drop_frag_needed(lab.server()?, Hook::Input)?;
    let audit = audit::check()?;
    let node = lab.node2()?.inode();
    let finding = at(&audit, &lab, node, OverlayLab::TUNNEL, TELLS)?;
    ensure!(finding.severity == Severity::Error, "{finding:?}");
    let blocked = finding.blocked_at();
    ensure!(
        blocked.is_some_and(|it| it.hook == "INPUT" && it.netns.is(lab.server().expect("built"))),
        "{:?}",
        finding.pmtud
    );
    Ok(())
}

#[test]
fn x5_and_x6_routed_with_and_without_df() -> Result<()> {
    // Packets that may be cut are measured by the tunnel, others where they leave for the other node.
    let cut = (OverlayLab::TUNNEL, Severity::Info, (1450, 1500, false));
    let whole = (OverlayLab::UNDERLAY, Severity::Error, (1500, 1550, true));
    for (df, (device, severity, sizes)) in [(false, cut), (true, whole)] {
        let lab = Overlay {
            routed: true,
            df,
            ..too_large()
        }
        .build()?;
        let audit = audit::check()?;
        let node = lab.node2()?.inode();
        let finding = at(&audit, &lab, node, device, FRAGMENTS)?;
        ensure!(finding.severity == severity, "df {df}: {finding:?}");
        let boundary = finding.boundary.as_ref().context("no boundary")?;
        ensure!(
            (boundary.limit_bytes, boundary.packet_bytes, boundary.silent) == sizes,
            "df {df}: {boundary:?}"
        );
    }
    Ok(())
}

#[test]
fn x7_hole_in_the_underlay() -> Result<()> {
    let lab = Overlay {
        far: 1400,
        ..Overlay::default()
    }
    .build()?;
    let audit = audit::check()?;
    let node = lab.node1()?.inode();
    let finding = at(
        &audit,
        &lab,
        node,
        OverlayLab::UNDERLAY,
        "__dev_forward_skb2",
    )?;
    let boundary = finding.boundary.as_ref().context("no boundary")?;
    ensure!(
        finding.severity == Severity::Error
            && boundary.silent
            && (boundary.limit_bytes, boundary.packet_bytes) == (1400, 1500),
        "{finding:?}"
    );
    ensure!(
        finding.summary.contains(OverlayLab::TUNNEL),
        "{}",
        finding.summary
    );
    // The other way its own node knows, and tells.
    let node = lab.node2()?.inode();
    let other = at(&audit, &lab, node, OverlayLab::TUNNEL, TELLS)?;
    ensure!(other.severity == Severity::Warning, "{other:?}");
    Ok(())
}
