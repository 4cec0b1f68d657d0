//! Which scenarios run under which mechanism, and what a machine's results say of it.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use lab::suites::{Extent, Mechanism, Vm};

use super::{
    boot::{End, Run},
    table::{Column, Doctor, Hook, Line},
};

/// Scenarios under one mechanism.
#[derive(Clone, Debug)]
pub struct Selection {
    /// How the tracer's programs hang on their hooks.
    pub mechanism: Mechanism,
    /// Beginnings of the scenarios' names; all of them without any.
    pub scenarios: Vec<String>,
}

/// Where each program has something to say: a router that tells and one whose message is dropped, an
/// upload, a veth, a bridge, IPv6, tunnels, a fault that is none of size, and a connection older than the trace.
const FEW: &[&str] = &["A1", "A2", "A5", "B1", "C1", "V2", "X1", "X3", "O3", "H1"];
/// The same where only the mechanism is another one.
const FEWER: &[&str] = &["A1", "A5b", "V2b", "X3"];

impl Selection {
    /// Those that `arguments` ask for. Without any mechanism all scenarios run in the best way and
    /// [`FEW`] in each other; as a few of each kind, it is [`FEW`] and [`FEWER`].
    pub fn chosen(arguments: &Vm) -> Vec<Self> {
        let mechanisms = match arguments.mechanism.as_slice() {
            [] => Mechanism::value_variants(),
            mechanisms => mechanisms,
        };
        let select = |&mechanism: &Mechanism| Self {
            mechanism,
            scenarios: match (arguments.within, mechanism) {
                (Some(Extent::Few), Mechanism::Best) => owned(FEW),
                (Some(Extent::Few), _) => owned(FEWER),
                (_, Mechanism::Best) => arguments.scenarios.clone(),
                _ if arguments.scenarios.is_empty() => owned(FEW),
                _ => arguments.scenarios.clone(),
            },
        };
        mechanisms.iter().map(select).collect()
    }

    /// Its line for the init script.
    pub fn line(&self) -> String {
        format!("{} {}\n", word(self.mechanism), self.scenarios.join(" "))
    }
}

/// The mechanism's name, as `mtu-trace` has it too.
fn word(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Best => "best",
        Mechanism::Fentry => "fentry",
        Mechanism::Kprobe => "kprobe",
    }
}

/// The name of a mechanism's column for a kernel.
fn title(mechanism: Mechanism, kernel: &str) -> String {
    match mechanism {
        Mechanism::Best => kernel.to_owned(),
        other => format!("{kernel} {}", word(other)),
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// What a machine's results say of each selection.
pub fn columns(
    selections: &[Selection],
    name: &str,
    release: &str,
    run: &Run,
) -> Result<Vec<Column>> {
    selections
        .iter()
        .map(|it| column(it.mechanism, &title(it.mechanism, name), release, run))
        .collect()
}

fn column(mechanism: Mechanism, name: &str, release: &str, run: &Run) -> Result<Column> {
    let part = |what: &str| run.part(&format!("{what} {}", word(mechanism)));
    // A machine that was ended may have been writing one.
    let whole = part("lines");
    let whole = &whole[..whole.rfind('\n').map_or(0, |end| end + 1)];
    let lines = parse(whole)?;
    let status: Option<i32> = part("status").trim().parse().ok();
    let failed = match (&run.end, status) {
        // That nothing ran is told better below.
        (_, Some(0 | 1)) if lines.is_empty() => None,
        (_, Some(status)) if is_told(status, &lines) => None,
        (_, Some(status)) => Some(format!("the matrix ended with status {status}")),
        (End::Done, None) => Some("it did not run to its end".to_owned()),
        (End::Panic(words), None) => Some(words.clone()),
        (End::TimedOut(limit), None) => {
            Some(format!("it did not end within {} s", limit.as_secs()))
        }
        (End::Early(last), None) => Some(format!("it ended early; its last words: {last}")),
    };
    let doctor = part("doctor");
    let doctor: Doctor = match serde_json::from_str(doctor) {
        Ok(doctor) => doctor,
        // What ended the machine is the better explanation.
        Err(_) if failed.is_some() => Doctor::default(),
        Err(_) => bail!("doctor says: {}", doctor.trim()),
    };
    let failed = failed.or_else(|| unattached(mechanism, &doctor.hooks));
    let failed = failed.or_else(|| lines.is_empty().then(|| idle(part("output"))));
    let left = run.part("left").trim();
    let failed = failed.or_else(|| (!left.is_empty()).then(|| format!("left behind: {left}")));
    Ok(Column {
        name: name.to_owned(),
        release: release.to_owned(),
        hooks: doctor.hooks,
        lines,
        failed,
        is_absent: false,
    })
}

/// Which hooks are not attached, or not in the way that was asked for: Debian's kernels have all of
/// them. That a freed packet is dropped, fentry cannot tell.
fn unattached(mechanism: Mechanism, hooks: &[Hook]) -> Option<String> {
    let ways: &[&str] = match mechanism {
        Mechanism::Best => &[],
        Mechanism::Fentry => &["fentry", "fexit"],
        Mechanism::Kprobe => &["kprobe", "kretprobe"],
    };
    let is_bound = |hook: &&Hook| {
        let free = hook.hook.starts_with("tc:")
            || (mechanism == Mechanism::Fentry && hook.hook == "skb:kfree_skb");
        let asked = ways.is_empty() || free || ways.contains(&hook.mechanism.as_str());
        hook.attached && asked
    };
    let mut unbound = hooks.iter().filter(|hook| !is_bound(hook)).peekable();
    unbound.peek()?;
    let names: Vec<&str> = unbound.map(|hook| hook.hook.as_str()).collect();
    Some(format!("not attached as asked for: {}", names.join(", ")))
}

/// Whether the lines say why the matrix ended with this status: 0 if all is right, 1 if not.
pub fn is_told(status: i32, lines: &[Line]) -> bool {
    let wrong = lines.iter().any(|line| !line.faults.is_empty());
    status == i32::from(wrong)
}

/// Why no scenario ran, with what the matrix printed.
pub fn idle(output: &str) -> String {
    match output.trim() {
        "" => "no scenario has such a name".to_owned(),
        output => format!("no scenario ran: {output}"),
    }
}

/// The matrix's lines.
pub fn parse(lines: &str) -> Result<Vec<Line>> {
    lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the matrix's lines cannot be read")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Mechanism, column};
    use crate::boot::{End, Run};

    const RESULTS: &str = concat!(
        "=== doctor best\n",
        r#"{"kernel": "6.1.0", "hooks": [{"hook": "tc:egress", "mechanism": "tc", "attached": true, "detail": null}]}"#,
        "\n=== lines best\n",
        r#"{"id": "A1", "what": "w", "expected": null, "got": [], "faults": [], "missed": false, "skipped": null}"#,
        "\n=== output best\nmatrix\n",
    );
    const LEFT: &str = "=== left\n";

    /// The results of a matrix that ended with a status.
    fn ended(status: i32, results: &str) -> String {
        format!("{results}=== status best\n{status}\n{LEFT}")
    }

    fn best(release: &str, run: &Run) -> anyhow::Result<crate::table::Column> {
        column(Mechanism::Best, "6.1", release, run)
    }

    fn run(end: End, results: &str) -> Run {
        Run {
            end,
            results: results.to_owned(),
            took: Duration::from_secs(1),
        }
    }

    /// Why a machine that ended so failed.
    fn failed(end: End, results: &str) -> Option<String> {
        best("6.1.0", &run(end, results)).unwrap().failed
    }

    #[test]
    fn a_machine_that_did_its_work_has_not_failed() {
        let done = best("6.1.0", &run(End::Done, &ended(0, RESULTS))).unwrap();
        assert_eq!(done.failed, None);
        assert_eq!(done.hooks[0].mechanism, "tc");
        assert_eq!(done.lines[0].id, "A1");
        assert!(done.is_right());
        // Of another mechanism there is nothing in it.
        let other = run(End::Done, &ended(0, RESULTS));
        let other = column(Mechanism::Kprobe, "6.1 kprobe", "6.1.0", &other).unwrap();
        assert_eq!(other.failed.as_deref(), Some("it did not run to its end"));
        assert!(!other.is_right());
    }

    #[test]
    fn what_ended_a_machine_is_told_with_what_it_left() {
        let panic = "Kernel panic - not syncing";
        assert_eq!(
            failed(End::Panic(panic.to_owned()), "").as_deref(),
            Some(panic)
        );
        assert_eq!(
            failed(End::TimedOut(Duration::from_secs(9)), RESULTS).as_deref(),
            Some("it did not end within 9 s")
        );
        assert_eq!(
            failed(End::Early("login:".to_owned()), "=== doctor best\n{").as_deref(),
            Some("it ended early; its last words: login:")
        );
        // Also where nothing it wrote is wrong.
        for status in [1, 2, 101] {
            assert_eq!(
                failed(End::Done, &ended(status, RESULTS)),
                Some(format!("the matrix ended with status {status}"))
            );
        }
        let wrong = RESULTS.replace(r#""faults": []"#, r#""faults": ["w"]"#);
        assert_eq!(failed(End::Done, &ended(1, &wrong)), None);
    }

    #[test]
    fn a_machine_that_ran_nothing_or_left_something_has_failed() {
        let empty = "=== doctor best\n{\"kernel\": \"6.1.0\", \"hooks\": []}\n=== lines best\n\
                     === output best\nwhy\n";
        assert_eq!(
            failed(End::Done, &ended(1, empty)).as_deref(),
            Some("no scenario ran: why")
        );
        assert_eq!(
            failed(End::Done, &format!("{}mtl1x0-in\n", ended(0, RESULTS))).as_deref(),
            Some("left behind: mtl1x0-in")
        );
        assert!(
            best(
                "6.1.0",
                &run(
                    End::Done,
                    &ended(0, "=== doctor best\nno kernel\n=== lines best\n")
                )
            )
            .is_err()
        );
    }
}
