//! `record`: traces for a while and reports.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::{fs, io, mem};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use crate::base::clock::{Clock, monotonic_ns};
use crate::cli::{ColorChoice, RecordOptions};
use crate::commands::output::{complain, say};
use crate::commands::recording::{KeptCapture, misuse};
use crate::commands::trace::{Interrupts, runtime};
use crate::commands::workload::Workload;
use crate::commands::{
    FOUND, LOCKED_DOWN, USAGE, concluded, explain_refusal, load_options, looked_at, output, stands,
};
use crate::core::verdicts::Analysis;
use crate::host::netns::NetnsFile;
use crate::kernel::LiveTrace;
use crate::model::event::{Event, EventKind};
use crate::model::finding::Severity;
use crate::model::hook_status::HookStatus;
use crate::show::report::{Capture, Format};

/// How long a command has to notice a Ctrl-C of its own before it is passed on. A choice: shells and
/// build tools end within it.
const GRACE: Duration = Duration::from_millis(500);

pub fn run(options: &RecordOptions, color: ColorChoice) -> Result<u8> {
    if let Some(why) = misuse(&options.keep) {
        complain(why);
        return Ok(USAGE);
    }
    runtime()?.block_on(async {
        let mut session = Session::start(options)?;
        if let Err((status, error)) = session.launch() {
            complain(&format!("{error:#}"));
            return Ok(status);
        }
        session.follow().await?;
        session.finish(color).await
    })
}

/// A trace for a while, and the command that is traced, if there is one.
struct Session<'o> {
    options: &'o RecordOptions,
    interrupts: Interrupts,
    clock: Clock,
    live: LiveTrace,
    sink: EventSink,
    workload: Option<Workload>,
    /// The command's status, once it has ended.
    status: Option<u8>,
}

impl<'o> Session<'o> {
    /// Loads and attaches everything, and says that tracing has begun.
    fn start(options: &'o RecordOptions) -> Result<Self> {
        let scope = options.selection.live(&NetnsFile::id_of);
        let scope = scope.map_err(|error| explain_refusal(error.into(), LOCKED_DOWN))?;
        let interrupts = Interrupts::new()?;
        let clock = Clock::now();
        if let Some(path) = &options.ready_file {
            remove_stale(path)?;
        }
        let mut capture = KeptCapture::prepare(&options.keep)?;
        let live = LiveTrace::start(&load_options(&options.tracing))
            .map_err(|error| explain_refusal(error, LOCKED_DOWN))?;
        announce(&live.hooks(), &live.limits, options.ready_file.as_deref())?;
        capture.start(clock, live.hooks());
        Ok(Self {
            options,
            interrupts,
            clock,
            live,
            sink: EventSink {
                capture,
                analysis: Analysis::of(scope),
                told: 0,
                begun: false,
            },
            workload: None,
            status: None,
        })
    }

    /// Starts the command, if there is one. Where standard output is taken, its own goes to standard
    /// error.
    fn launch(&mut self) -> Result<(), (u8, anyhow::Error)> {
        if self.options.run.is_empty() {
            return Ok(());
        }
        let taken = self.options.format != Format::TEXT || self.sink.capture.to_stdout;
        let stdout = match taken {
            true => Stdio::from(io::stderr()),
            false => Stdio::inherit(),
        };
        self.workload = Some(Workload::start(&self.options.run, stdout)?);
        Ok(())
    }

    /// Traces until the time is up, the command ends or somebody interrupts.
    async fn follow(&mut self) -> Result<()> {
        let mut sink = |event: Event| self.sink.take(&event);
        let stop = until(
            self.options.duration,
            self.workload.as_mut(),
            &mut self.interrupts,
            &mut self.status,
        );
        self.live.run(stop, &mut sink).await
    }

    /// Takes in what is still counted, completes the capture, prints the report and gives the exit
    /// status.
    async fn finish(mut self, color: ColorChoice) -> Result<u8> {
        let hooks = self.live.hooks();
        self.live.finish(&mut |event: Event| self.sink.take(&event));
        let ended_ns = monotonic_ns();
        let insists = self.interrupts.insists();
        let capture = &mut self.sink.capture;
        capture.finish(ended_ns, hooks.clone(), insists).await;
        let capture = Capture {
            hooks,
            ..looked_at(self.clock, ended_ns)
        };
        let report = concluded(&self.sink.analysis, capture, self.clock);
        if self.sink.capture.to_stdout {
            output::print_beside(&report, self.options.format);
        } else {
            output::print(&report, self.options.format, color)?;
        }
        drop(self.live);

        // The time was up first: the command goes on, and its status is still the answer.
        if let (Some(workload), None) = (&mut self.workload, self.status) {
            say("the report is done; waiting for the command to end");
            self.status = Some(wait(workload, &mut self.interrupts).await?);
        }
        if self.options.exit_code && stands(&report, Severity::Error) {
            return Ok(FOUND);
        }
        Ok(self.sink.capture.status(self.status.unwrap_or(0)))
    }
}

/// Where the events of a recorded trace go.
struct EventSink {
    capture: KeptCapture,
    analysis: Analysis,
    /// How many findings were looked at to be told.
    told: usize,
    begun: bool,
}

impl EventSink {
    fn take(&mut self, event: &Event) {
        self.capture.note(event);
        self.analysis.apply(event);
        if matches!(event.kind, EventKind::Tick) {
            self.tell(event.time_ns);
        }
    }

    /// Says on standard error what is found, as soon as it is.
    fn tell(&mut self, now_ns: u64) {
        let analysis = &self.analysis;
        if !mem::replace(&mut self.begun, true) {
            for absent in analysis.scope().absent() {
                say(&format!("{absent}; going on, since it may still come"));
            }
        }
        let made = analysis.made().len();
        if mem::replace(&mut self.told, made) == made {
            return;
        }
        for finding in analysis.findings() {
            if finding.detected_at_ns == now_ns && finding.severity > Severity::Info {
                say(&finding.summary);
            }
        }
    }
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
    let ended = async {
        match workload {
            Some(workload) => wait(workload, interrupts).await.map(Some),
            None => {
                interrupts.next().await;
                Ok(None)
            }
        }
    };
    let ended = match duration {
        Some(duration) => tokio::time::timeout(duration, ended).await,
        None => Ok(ended.await),
    };
    match ended {
        Ok(Ok(code)) => *status = code,
        Ok(Err(error)) => complain(&format!("{error:#}")),
        Err(_time_is_up) => {}
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
