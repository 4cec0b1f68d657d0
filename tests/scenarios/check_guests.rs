//! `check` in the container of a CI job before its first build: the inner engine runs, and nothing is on
//! its bridge yet.

use anyhow::{Context, Result, ensure};
use lab::audit;
use lab::engine::Engine;
use lab::firewall::{Hook, drop_frag_needed};
use lab::report::{Confidence, Finding, Severity};
use lab::topology::{Nested, NestedLab};

use crate::small_uplink;

/// Builds it and takes the innermost container away.
fn empty(nested: Nested) -> Result<NestedLab> {
    let lab = nested.build()?;
    lab.inside()?
        .ip(&format!("link del {}\n", NestedLab::CONTAINER))?;
    Ok(lab)
}

/// The findings that are told for this lab.
fn findings(lab: &NestedLab) -> Result<Vec<Finding>> {
    let audit = audit::check()?;
    Ok(audit.findings(&lab.lab).into_iter().cloned().collect())
}

/// The one of the place where the host forwards to its bridge.
fn at_the_bridge<'a>(findings: &'a [Finding], lab: &NestedLab) -> Result<&'a Finding> {
    let host = lab.host()?;
    let found = findings.iter().find(|finding| {
        let boundary = finding.boundary.as_ref();
        boundary.is_some_and(|it| {
            it.netns.is(host)
                && it.egress.as_deref() == Some(NestedLab::OUTER_BRIDGE)
                && it.function == "ip_forward"
        })
    });
    found.with_context(|| format!("nothing at the bridge: {findings:?}"))
}

#[test]
fn the_first_build_is_foreseen_to_hang() -> Result<()> {
    let lab = empty(small_uplink())?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let engine = Engine::start(lab.out()?, "{}", &["--debug"])?;
    let found = findings(&lab)?;
    let finding = at_the_bridge(&found, &lab)?;
    ensure!(
        finding.verdict == "mtu-mismatch"
            && finding.severity == Severity::Error
            && finding.confidence == Confidence::Likely,
        "{finding:?}"
    );
    let boundary = finding.boundary.as_ref().context("no boundary")?;
    ensure!(
        (boundary.packet_bytes, boundary.limit_bytes) == (1500, 1450),
        "{boundary:?}"
    );
    let blocked = finding.blocked_at();
    ensure!(
        blocked.is_some_and(|it| it.hook == "OUTPUT"),
        "{:?}",
        finding.pmtud
    );
    let who = format!("a new container on docker0 of {}", lab.out()?.name());
    ensure!(finding.summary.contains(&who), "{}", finding.summary);
    let said = format!(
        "dockerd (pid {}), would give a new one an MTU of 1500",
        engine.pid()
    );
    ensure!(
        finding.evidence.notes.iter().any(|note| {
            note.starts_with("no container is on docker0 of ") && note.contains(&said)
        }),
        "{:?}",
        finding.evidence
    );
    let fix = finding.fixes.first().context("no fix")?;
    ensure!(
        fix.detail.contains("Start its engine with `--mtu 1450`") && fix.commands.is_empty(),
        "{fix:?}"
    );
    // The way ends at what is not there, and says so.
    let end = finding.path.last().context("no way")?;
    let guest = end.netns.guest.as_ref().context("no guest")?;
    ensure!(
        end.netns.inode == 0
            && end.netns.name.is_none()
            && guest.bridge == NestedLab::INNER_BRIDGE
            && guest.parent.is(lab.out()?),
        "{end:?}"
    );
    Ok(())
}

#[test]
fn with_the_message_getting_through_it_is_a_warning() -> Result<()> {
    let lab = empty(small_uplink())?;
    let _engine = Engine::start(lab.out()?, r#"{ "mtu": 1500 }"#, &[])?;
    let found = findings(&lab)?;
    let finding = at_the_bridge(&found, &lab)?;
    ensure!(
        finding.severity == Severity::Warning && finding.confidence == Confidence::Likely,
        "{finding:?}"
    );
    ensure!(
        finding
            .evidence
            .notes
            .iter()
            .any(|note| note.contains("daemon.json says")),
        "{:?}",
        finding.evidence
    );
    let inside = found.iter().any(|finding| {
        let boundary = finding.boundary.as_ref();
        boundary.is_some_and(|it| it.egress.as_deref() == Some(NestedLab::UPLINK))
    });
    ensure!(inside, "nothing is said of what it would send: {found:?}");
    Ok(())
}

#[test]
fn a_small_end_of_the_uplink_is_foreseen_as_a_hole() -> Result<()> {
    let lab = empty(Nested {
        uplink: 1450,
        ..Nested::default()
    })?;
    let _engine = Engine::start(lab.out()?, "", &[])?;
    let found = findings(&lab)?;
    let silent = found.iter().find(|finding| {
        let boundary = finding.boundary.as_ref();
        boundary.is_some_and(|it| it.silent)
    });
    let finding = silent.with_context(|| format!("no hole: {found:?}"))?;
    ensure!(finding.severity == Severity::Error, "{finding:?}");
    Ok(())
}

#[test]
fn an_engine_that_gives_what_fits_is_left_alone() -> Result<()> {
    let lab = empty(small_uplink())?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    for (settings, arguments, is_foreseen) in [
        ("{}", &["--mtu", "1450"][..], true),
        ("{}", &["--debug", "--mtu=1450"], true),
        (r#"{ "mtu": 1450 }"#, &[], true),
        // None of its own, and one that is not there.
        ("{}", &["--bridge", "none"], false),
        ("{}", &["-b", "br7"], false),
    ] {
        let engine = Engine::start(lab.out()?, settings, arguments)?;
        let found = findings(&lab)?;
        ensure!(found.is_empty(), "{engine:?}: {found:?}");
        // How many are foreseen is counted for all labs together: whether one is foreseen here shows
        // where even less fits.
        resize(&lab, 1400)?;
        let found = findings(&lab)?;
        resize(&lab, 1450)?;
        let said = format!(
            "dockerd (pid {}), would give a new one an MTU of 1450",
            engine.pid()
        );
        let mut notes = found.iter().flat_map(|finding| &finding.evidence.notes);
        ensure!(
            notes.any(|note| note.contains(&said)) == is_foreseen,
            "{engine:?}: {found:?}"
        );
    }
    Ok(())
}

/// Gives both ends of the uplink another MTU.
fn resize(lab: &NestedLab, mtu: u32) -> Result<()> {
    for (netns, interface) in [
        (lab.out()?, NestedLab::UPLINK),
        (lab.host()?, NestedLab::OUTER_PORT),
    ] {
        netns.ip(&format!("link set {interface} mtu {mtu}\n"))?;
    }
    Ok(())
}

#[test]
fn without_an_engine_nothing_is_assumed() -> Result<()> {
    let lab = empty(small_uplink())?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    ensure!(findings(&lab)?.is_empty());
    // One in the namespace beside is no engine of this bridge.
    let _engine = Engine::start(lab.host()?, "{}", &[])?;
    ensure!(findings(&lab)?.is_empty());
    Ok(())
}

#[test]
fn an_engine_that_cannot_be_asked_is_missed() -> Result<()> {
    let lab = empty(small_uplink())?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    for (settings, arguments) in [("{", &[][..]), ("{}", &["--mtu", "many"])] {
        let _engine = Engine::start(lab.out()?, settings, arguments)?;
        ensure!(findings(&lab)?.is_empty());
        let finished = audit::run(&["--color", "never"])?;
        let said = " Docker engines could not be asked what they give";
        ensure!(finished.stdout.contains(said), "{finished:?}");
    }
    Ok(())
}

#[test]
fn engines_that_disagree_are_told_of() -> Result<()> {
    let lab = empty(small_uplink())?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let _one = Engine::start(lab.out()?, "{}", &[])?;
    let _other = Engine::start(lab.out()?, "{}", &["--mtu", "1450"])?;
    ensure!(findings(&lab)?.is_empty());
    let finished = audit::run(&["--color", "never"])?;
    let said = "engines disagree on what they give on ";
    ensure!(finished.stdout.contains(said), "{finished:?}");
    Ok(())
}

#[test]
fn without_the_rights_of_an_engine_it_is_none() -> Result<()> {
    let lab = empty(small_uplink())?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let without = ["setpriv", "--bounding-set", "-net_admin"];
    let pretender = Engine::start_by(&without, lab.out()?, "{}", &[])?;
    let found = findings(&lab)?;
    ensure!(found.is_empty(), "{pretender:?}: {found:?}");
    // Nor does it stand in the way of one that has them.
    let engine = Engine::start(lab.out()?, r#"{ "mtu": 1460 }"#, &[])?;
    let found = findings(&lab)?;
    let who = format!("dockerd (pid {})", engine.pid());
    ensure!(
        at_the_bridge(&found, &lab)?
            .evidence
            .notes
            .iter()
            .any(|note| note.contains(&who)),
        "{found:?}"
    );
    Ok(())
}

#[test]
fn settings_younger_than_their_engine_are_not_believed() -> Result<()> {
    let lab = empty(small_uplink())?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let said = " Docker engines have settings that are younger than they are";
    // The number that fits, for the one that does not, and the other way about.
    for (before, after) in [("{}", r#"{ "mtu": 1450 }"#), (r#"{ "mtu": 1450 }"#, "{}")] {
        let engine = Engine::start(lab.out()?, before, &[])?;
        ensure!(findings(&lab)?.is_empty() == (after == "{}"), "{before}");
        engine.rewrite(after)?;
        ensure!(findings(&lab)?.is_empty(), "{after}");
        let finished = audit::run(&["--color", "never"])?;
        ensure!(finished.stdout.contains(said), "{finished:?}");
    }
    // They do not matter where flags say all.
    let flags = ["--bridge", NestedLab::INNER_BRIDGE, "--mtu", "1500"];
    let engine = Engine::start(lab.out()?, "{}", &flags)?;
    engine.rewrite("{")?;
    at_the_bridge(&findings(&lab)?, &lab)?;
    Ok(())
}

#[test]
fn text_says_what_is_foreseen() -> Result<()> {
    let lab = empty(small_uplink())?;
    drop_frag_needed(lab.host()?, Hook::Output)?;
    let _engine = Engine::start(lab.out()?, "{}", &[])?;
    let finished = audit::run(&["--color", "never"])?;
    ensure!(finished.code() == Some(0), "{finished:?}");
    let out = lab.out()?.name();
    for words in [
        " foreseen\n".to_owned(),
        format!("eth0@a new container on docker0 of {out} "),
        format!("veth*@{out} "),
    ] {
        ensure!(finished.stdout.contains(&words), "no {words}: {finished:?}");
    }
    Ok(())
}
