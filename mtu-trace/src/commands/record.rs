//! `record`: traces for a while and reports.

use std::{fs, io, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use rustix::process::Signal;

use crate::{
    base::clock::{Clock, monotonic_ns},
    cli::{ColorChoice, Record},
    commands::{
        FOUND, LOCKED_DOWN, USAGE, explain_refusal, host, load_options, output,
        output::{complain, say},
        recording::{Recording, misuse},
        seconds,
        trace::{Interrupts, runtime},
        workload::Workload,
    },
    core::verdicts::Analysis,
    host::netns::NetnsFile,
    kernel::Live,
    model::{event::Event, finding::Severity, hook_status::HookStatus},
    show::report::{Capture, Format, Report},
};

/// How long a command has to notice a Ctrl-C of its own before it is passed on.
const GRACE: Duration = Duration::from_millis(500);

/// Runs the command; gives the exit status.
pub fn run(options: &Record, color: ColorChoice) -> Result<u8> {
    if let Some(why) = misuse(&options.keep) {
        complain(why);
        return Ok(USAGE);
    }
    runtime()?.block_on(record(options, color))
}

async fn record(options: &Record, color: ColorChoice) -> Result<u8> {
    let scope = options.selection.live(&NetnsFile::id_of);
    let scope = scope.map_err(|error| explain_refusal(error.into(), LOCKED_DOWN))?;
    let mut interrupts = Interrupts::new()?;
    let clock = Clock {
        wall: Timestamp::now(),
        monotonic_ns: monotonic_ns(),
    };
    if let Some(path) = &options.ready_file {
        remove_stale(path)?;
    }
    let mut recording = Recording::prepare(&options.keep)?;
    let mut live = Live::start(&load_options(&options.tracing))
        .map_err(|error| explain_refusal(error, LOCKED_DOWN))?;
    announce(&live.hooks(), live.limits(), options.ready_file.as_deref())?;

    recording.start(clock, live.hooks());
    let stdout_free = options.format != Format::TEXT || recording.to_stdout();
    let mut workload = if options.run.is_empty() {
        None
    } else {
        match Workload::start(&options.run, stdout_free) {
            Ok(workload) => Some(workload),
            Err((status, error)) => {
                complain(&format!("{error:#}"));
                return Ok(status);
            }
        }
    };
    let mut analysis = Analysis::of(scope);
    let mut progress = Progress::default();
    let mut status = None;
    let mut sink = |event: Event| {
        recording.note(&event);
        analysis.apply(&event);
        progress.tell(&analysis, &event);
    };
    {
        let stop = until(
            options.duration,
            workload.as_mut(),
            &mut interrupts,
            &mut status,
        );
        live.run(stop, &mut sink).await?;
    }
    let hooks = live.hooks();
    live.finish(&mut sink);
    let ended_ns = monotonic_ns();
    recording
        .finish(ended_ns, hooks.clone(), interrupts.insists())
        .await;

    let report = Report {
        capture: Capture {
            started: clock.wall,
            duration_s: seconds(ended_ns.saturating_sub(clock.monotonic_ns)),
            kernel: host::kernel_release(),
            hostname: host::hostname(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            selection: analysis.selected(),
            hooks,
            events: analysis.state().events,
            lost_events: analysis.state().lost,
            notes: analysis.notes(),
        },
        findings: analysis.findings(),
        clock,
        audit: None,
    };
    if recording.to_stdout() {
        output::print_beside(&report, options.format);
    } else {
        output::print(&report, options.format, color)?;
    }
    drop(live);

    // The time was up first: the command goes on, and its status is still the answer.
    if let (Some(workload), None) = (&mut workload, status) {
        say("the report is done; waiting for the command to end");
        status = Some(wait(workload, &mut interrupts).await?);
    }
    let found = report
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    Ok(if options.exit_code && found {
        FOUND
    } else {
        recording.status(status.unwrap_or(0))
    })
}

/// Says on standard error that tracing has begun, and what is missing; creates the ready file.
fn announce(hooks: &[HookStatus], limits: &[String], ready_file: Option<&Path>) -> Result<()> {
    for limit in limits {
        say(limit);
    }
    for line in HookStatus::missed(hooks) {
        say(&line);
    }
    if let Some(path) = ready_file {
        fs::File::create(path)
            .with_context(|| format!("cannot create the ready file {}", path.display()))?;
    }
    say(&format!(
        "ready: {} attached; Ctrl-C ends the trace and prints the report",
        HookStatus::tally(hooks)
    ));
    Ok(())
}

/// Removes the ready file of an earlier run, which would tell that this one is ready.
fn remove_stale(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error)
            .with_context(|| format!("cannot remove the old ready file {}", path.display())),
        _ => Ok(()),
    }
}

/// Waits for the first reason to stop. The command's status, if that was it, goes to `status`.
async fn until(
    duration: Option<Duration>,
    workload: Option<&mut Workload>,
    interrupts: &mut Interrupts,
    status: &mut Option<u8>,
) {
    let time_up = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    match workload {
        None => tokio::select! {
            () = time_up => {}
            _ = interrupts.next() => {}
        },
        Some(workload) => tokio::select! {
            () = time_up => {}
            ended = wait(workload, interrupts) => match ended {
                Ok(code) => *status = Some(code),
                Err(error) => complain(&format!("{error:#}")),
            },
        },
    }
}

/// Waits for the command. A Ctrl-C in the terminal reaches it by itself; a signal to us alone is
/// passed on.
async fn wait(workload: &mut Workload, interrupts: &mut Interrupts) -> Result<u8> {
    loop {
        let signal = tokio::select! {
            code = workload.wait() => return code,
            signal = interrupts.next() => signal,
        };
        if signal == Signal::INT
            && let Ok(code) = tokio::time::timeout(GRACE, workload.wait()).await
        {
            return code;
        }
        workload.signal(signal);
    }
}

/// Says on standard error what is found, as soon as it is.
#[derive(Default)]
struct Progress {
    told: usize,
    begun: bool,
}

impl Progress {
    fn tell(&mut self, analysis: &Analysis, event: &Event) {
        if !matches!(event.kind, crate::model::event::EventKind::Tick) {
            return;
        }
        if !self.begun {
            self.begun = true;
            for absent in analysis.scope().absent() {
                say(&format!("{absent}; going on, since it may still come"));
            }
        }
        let made = analysis.detected();
        if made == self.told {
            return;
        }
        self.told = made;
        for finding in analysis.findings() {
            if finding.detected_at_ns == event.time_ns && finding.severity > Severity::Info {
                say(&finding.summary);
            }
        }
    }
}
