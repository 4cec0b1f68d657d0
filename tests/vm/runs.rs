//! Which scenarios run under which mechanisms, and what a machine's results say of it.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use lab::suites::{Extent, Mechanism, Vm};

use super::table::{Column, Doctor, Hook, Line};
use lab::machine::boot::{End, Run};

/// Scenarios that run once, under a tracer for each of some mechanisms at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// How the tracers' programs hang on their hooks. None where only the capture counts, which is
    /// taken in the best way.
    pub mechanisms: Vec<Mechanism>,
    /// Beginnings of the scenarios' names; all of them without any.
    pub scenarios: Vec<String>,
}

/// Where each program has something to say: a router that tells and one whose message is dropped, an
/// upload, a veth, a bridge, IPv6, tunnels, a fault that is none of size, and a connection older than
/// the trace. So many rows as one tracer has at once ([`CAPTURED`] among them).
const FEW: &[&str] = &["A1", "A2", "A5", "B1", "C1", "V2", "X1", "X3", "O3", "H1"];
/// The kernels of `cargo xtask test`: the oldest, which lacks most, and the one between that Debian's
/// stable release has. `--full` has all.
pub const FEW_KERNELS: [&str; 2] = ["5.10", "6.12"];
/// The same on kernels between others: a kernel differs from its neighbours by what it can attach and
/// by the layout of its structures, and whatever has them wrong has them wrong here.
const FEWER: &[&str] = &["A1", "A5", "C1", "V2", "X3"];
/// Two faults and a discovery that works, for another kernel to report what was captured here.
const CAPTURED: &[&str] = &["A5", "C1"];

impl Selection {
    /// Those that `arguments` ask for of `kernel`, the last of them with all of [`CAPTURED`]. Without any
    /// mechanism all scenarios run in the best way and [`FEW`] in each other.
    ///
    /// `cargo xtask test` runs [`FEW`] on the oldest kernel and [`FEWER`] on the other of
    /// [`FEW_KERNELS`], where it ran [`FEW`] on each: the datapaths are the same. And it runs them once
    /// for all mechanisms, where it ran [`FEW`] in the best way, less in each other, and [`CAPTURED`]
    /// once more. With `--full` all kernels have all scenarios.
    pub fn chosen(arguments: &Vm, kernel: &str) -> Vec<Self> {
        let select = |mechanisms: &[Mechanism], scenarios: &[&str]| Self {
            mechanisms: mechanisms.to_vec(),
            scenarios: scenarios.iter().map(ToString::to_string).collect(),
        };
        let all = Mechanism::value_variants();
        if arguments.within == Some(Extent::Few) {
            let is_oldest = FEW_KERNELS.first() == Some(&kernel);
            return vec![select(all, if is_oldest { FEW } else { FEWER })];
        }
        let named: Vec<&str> = arguments.scenarios.iter().map(String::as_str).collect();
        let captured = select(&[], CAPTURED);
        match (arguments.mechanism.as_slice(), named.as_slice()) {
            ([], []) => vec![
                select(&[Mechanism::Best], &[]),
                select(&[Mechanism::Fentry, Mechanism::Kprobe], FEW),
                captured,
            ],
            ([], named) => vec![select(all, named), captured],
            (mechanisms, named) => vec![select(mechanisms, named), captured],
        }
    }

    /// Lines for the init script: number, mechanisms and scenarios of each.
    pub fn lines(selections: &[Self]) -> String {
        let line = |(number, it): (usize, &Self)| {
            let mechanisms: Vec<&str> = it.mechanisms.iter().map(|it| word(*it)).collect();
            let mechanisms = match mechanisms.as_slice() {
                [] => word(Mechanism::Best).to_owned(),
                some => some.join(","),
            };
            format!("{number} {mechanisms} {}\n", it.scenarios.join(" "))
        };
        selections.iter().enumerate().map(line).collect()
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

/// What a machine's results say of each mechanism of each selection.
pub fn columns(
    selections: &[Selection],
    name: &str,
    release: &str,
    run: &Run,
) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for (number, selection) in selections.iter().enumerate() {
        let results = Results::of(number, run)?;
        for mechanism in &selection.mechanisms {
            columns.push(column(*mechanism, name, release, run, &results)?);
        }
    }
    Ok(columns)
}

/// What the matrix has left of one selection.
struct Results<'a> {
    /// A line of each scenario by each mechanism.
    lines: Vec<Line>,
    /// `None` where it did not end.
    status: Option<i32>,
    output: &'a str,
}

impl<'a> Results<'a> {
    fn of(number: usize, run: &'a Run) -> Result<Self> {
        let part = |what: &str| run.part(&format!("{what} {number}"));
        // A machine that was ended may have been writing one.
        let whole = part("lines");
        let whole = &whole[..whole.rfind('\n').map_or(0, |end| end + 1)];
        Ok(Self {
            lines: parse(whole)?,
            status: part("status").trim().parse().ok(),
            output: part("output"),
        })
    }

    /// Why it is not whole, with what ended the machine.
    fn failed(&self, end: &End) -> Option<String> {
        match (end, self.status) {
            // That nothing ran is told better elsewhere.
            (_, Some(0 | 1)) if self.lines.is_empty() => None,
            (_, Some(status)) if is_told(status, &self.lines) => None,
            (_, Some(status)) => Some(format!("the matrix ended with status {status}")),
            (End::Done, None) => Some("it did not run to its end".to_owned()),
            (End::Panic(words), None) => Some(words.clone()),
            (End::TimedOut(limit), None) => {
                Some(format!("it did not end within {} s", limit.as_secs()))
            }
            (End::Early(last), None) => Some(format!("it ended early; its last words: {last}")),
        }
    }
}

/// The column of one mechanism.
fn column(
    mechanism: Mechanism,
    kernel: &str,
    release: &str,
    run: &Run,
    results: &Results<'_>,
) -> Result<Column> {
    let failed = results.failed(&run.end);
    let doctor = run.part(&format!("doctor {}", word(mechanism)));
    let doctor: Doctor = match serde_json::from_str(doctor) {
        Ok(doctor) => doctor,
        // What ended the machine is the better explanation.
        Err(_) if failed.is_some() => Doctor::default(),
        Err(_) => bail!("doctor says: {}", doctor.trim()),
    };
    let asked = (mechanism != Mechanism::Best).then(|| word(mechanism));
    let own = |line: &&Line| line.mechanism.as_deref() == asked;
    let lines: Vec<Line> = results.lines.iter().filter(own).cloned().collect();
    let left = run.part("left").trim();
    let failed = failed
        .or_else(|| unattached(mechanism, &doctor.hooks))
        .or_else(|| lines.is_empty().then(|| idle(results.output)))
        .or_else(|| (!left.is_empty()).then(|| format!("left behind: {left}")));
    Ok(Column {
        name: title(mechanism, kernel),
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

/// Reads the lines of JSON that the matrix writes.
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

    use super::{Column, End, Mechanism, Run, Selection, columns};

    const RESULTS: &str = concat!(
        "=== doctor best\n",
        r#"{"kernel": "6.1.0", "hooks": [{"hook": "tc:egress", "mechanism": "tc", "attached": true, "detail": null}]}"#,
        "\n=== lines 0\n",
        r#"{"mechanism": null, "id": "A1", "what": "w", "expected": null, "got": [], "faults": [], "missed": false, "skipped": null}"#,
        "\n=== output 0\nmatrix\n",
    );
    const LEFT: &str = "=== left\n";

    /// The results of a matrix that ended with a status.
    fn ended(status: i32, results: &str) -> String {
        format!("{results}=== status 0\n{status}\n{LEFT}")
    }

    /// The only column of a machine that ran one mechanism.
    fn of(mechanism: Mechanism, run: &Run) -> anyhow::Result<Column> {
        let selection = Selection {
            mechanisms: vec![mechanism],
            scenarios: Vec::new(),
        };
        Ok(columns(&[selection], "6.1", "6.1.0", run)?.remove(0))
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
        of(Mechanism::Best, &run(end, results)).unwrap().failed
    }

    #[test]
    fn a_machine_that_did_its_work_has_not_failed() {
        let done = of(Mechanism::Best, &run(End::Done, &ended(0, RESULTS))).unwrap();
        assert_eq!(done.failed, None);
        assert_eq!(done.hooks[0].mechanism, "tc");
        assert_eq!(done.lines[0].id, "A1");
        assert!(done.is_right());
        // Of another mechanism there is nothing in it.
        let doctor = RESULTS.replace("doctor best", "doctor kprobe");
        let doctor = doctor.replace(r#""mechanism": "tc""#, r#""mechanism": "kprobe""#);
        let other = of(Mechanism::Kprobe, &run(End::Done, &ended(0, &doctor))).unwrap();
        assert_eq!(other.failed.as_deref(), Some("no scenario ran: matrix"));
        assert_eq!(other.name, "6.1 kprobe");
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
        let empty = "=== doctor best\n{\"kernel\": \"6.1.0\", \"hooks\": []}\n=== lines 0\n\
                     === output 0\nwhy\n";
        assert_eq!(
            failed(End::Done, &ended(1, empty)).as_deref(),
            Some("no scenario ran: why")
        );
        assert_eq!(
            failed(End::Done, &format!("{}mtl1x0-in\n", ended(0, RESULTS))).as_deref(),
            Some("left behind: mtl1x0-in")
        );
        assert!(
            of(
                Mechanism::Best,
                &run(
                    End::Done,
                    &ended(0, "=== doctor best\nno kernel\n=== lines 0\n")
                )
            )
            .is_err()
        );
    }
}
