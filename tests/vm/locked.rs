//! What mtu-trace says on a kernel that is locked down (`kernel_lockdown(7)`): which of its levels hurts, and
//! why, in one line.

use anyhow::{Context, Result, ensure};

use super::{boot::Run, table::Doctor};

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
    use crate::boot::{End, Run};

    fn run(attached: bool, detail: &str, said: &str) -> Run {
        let doctor = |attached: bool, detail: &str| {
            format!(
                r#"{{"kernel": "6.12", "hooks": [{{"hook": "skb:kfree_skb", "mechanism": "kprobe",
                    "attached": {attached}, "detail": "{detail}", "lost": null}}]}}"#
            )
        };
        let (fine, doctor) = (doctor(true, ""), doctor(attached, detail));
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
        let said =
            "mtu-trace: no hook is attached: the kernel is locked down\nmtu-trace: ready\nstatus 0";
        assert!(judge(&run(false, "the kernel is locked down", said)).is_ok());
        let none = Run {
            results: String::new(),
            ..run(false, "the kernel is locked down", said)
        };
        for wrong in [
            none,
            run(true, "the kernel is locked down", said),
            run(false, "unknown func bpf_probe_read#4", said),
            run(
                false,
                "the kernel is locked down",
                "mtu-trace: ready\nstatus 0",
            ),
            run(
                false,
                "the kernel is locked down",
                "mtu-trace: refused\nstatus 1",
            ),
        ] {
            assert!(judge(&wrong).is_err(), "{}", wrong.results);
        }
    }
}
