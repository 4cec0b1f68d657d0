//! What mtu-trace says on a kernel that is locked down (`kernel_lockdown(7)`): which of its levels hurts, and
//! why, in one line.

use anyhow::{Context, Result, ensure};

use super::table::Doctor;
use lab::machine::boot::Run;

/// A level, and whether programs work at it.
const LEVELS: [(&str, bool); 2] = [("integrity", true), ("confidentiality", false)];
/// What is said where they do not.
const WHY: &str = "locked down";

/// Judges what was said at each level, which all of Debian's kernels have.
pub fn judge(run: &Run) -> Result<()> {
    for (level, works) in LEVELS {
        let doctor = run.part(&format!("doctor {level}")).trim();
        ensure!(!doctor.is_empty(), "it cannot be locked down ({level})");
        let doctor: Doctor = serde_json::from_str(doctor)
            .with_context(|| format!("locked down ({level}), doctor says {doctor}"))?;
        ensure!(
            !doctor.hooks.is_empty(),
            "locked down ({level}), doctor lists no hooks"
        );
        for hook in doctor.hooks.iter().filter(|hook| !hook.optional) {
            let why = hook.detail.as_deref().unwrap_or_default();
            let is_told = hook.attached || why.contains(WHY);
            ensure!(
                hook.attached == works && is_told,
                "locked down ({level}), {} is {}: {why}",
                hook.hook,
                if hook.attached { "attached" } else { "missing" }
            );
        }
        let said: Vec<&str> = run.part(&format!("said {level}")).lines().collect();
        let is_right = match said.as_slice() {
            [ready, "status 0"] => works && ready.contains("ready"),
            [why, ready, "status 0"] => !works && why.contains(WHY) && ready.contains("ready"),
            _ => false,
        };
        ensure!(is_right, "locked down ({level}), record says {said:#?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::judge;
    use lab::machine::boot::{End, Run};

    const FINE: &str = r#""attached": true, "detail": """#;
    const LOCKED: &str = r#""attached": false, "detail": "the kernel is locked down""#;
    const SAID: &str =
        "mtu-trace: no hook is attached: the kernel is locked down\nmtu-trace: ready\nstatus 0";

    /// What a machine leaves whose hook is `hook` where nothing may work, and whose `record` has `said` that.
    fn run(hook: &str, said: &str) -> Run {
        let doctor = |hook: &str| {
            format!(
                r#"{{"kernel": "6.12", "hooks": [{{"hook": "skb:kfree_skb", "mechanism": "kprobe",
                    {hook}, "lost": null}}]}}"#
            )
        };
        let (fine, doctor) = (doctor(FINE), doctor(hook));
        Run {
            end: End::Done,
            results: format!(
                "=== doctor integrity\n{fine}\n=== said integrity\nmtu-trace: ready\nstatus 0\n\
                 === doctor confidentiality\n{doctor}\n=== said confidentiality\n{said}\n=== end\n"
            ),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn one_line_must_say_why() {
        assert!(judge(&run(LOCKED, SAID)).is_ok());
        let none = Run {
            results: String::new(),
            ..run(LOCKED, SAID)
        };
        let attached = LOCKED.replace("false", "true");
        let other = LOCKED.replace("the kernel is locked down", "unknown func");
        for wrong in [
            none,
            run(&attached, SAID),
            run(&other, SAID),
            run(LOCKED, "mtu-trace: ready\nstatus 0"),
            run(LOCKED, "mtu-trace: refused\nstatus 1"),
        ] {
            assert!(judge(&wrong).is_err(), "{}", wrong.results);
        }
    }
}
