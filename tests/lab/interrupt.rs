//! Removes this process's labs when a signal ends it before its values are dropped.

use std::sync::Mutex;
use std::{fs, thread};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{lifetime, ownership};

/// Watches for SIGINT, SIGTERM and SIGHUP from now on; the first call does it for the process.
///
/// The signal then does what it would have done: the process ends by it.
pub(crate) fn clean_up_on_signals() -> Result<()> {
    static WATCHING: Mutex<bool> = Mutex::new(false);
    let mut watching = WATCHING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if *watching {
        return Ok(());
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("watching for signals")?;
    thread::Builder::new()
        .name("lab-signals".into())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                remove_own();
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })
        .context("starting the thread that watches for signals")?;
    *watching = true;
    Ok(())
}

type Removal = Box<dyn FnOnce() + Send>;

static REMOVALS: Mutex<Vec<Removal>> = Mutex::new(Vec::new());

/// Does `removal` too when a signal ends this process, before its labs' namespaces are removed.
///
/// # Errors
///
/// Signals cannot be watched for.
pub fn on_signal(removal: impl FnOnce() + Send + 'static) -> Result<()> {
    let mut removals = REMOVALS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    removals.push(Box::new(removal));
    drop(removals);
    clean_up_on_signals()
}

fn remove_own() {
    let removals = std::mem::take(
        &mut *REMOVALS
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    );
    for removal in removals {
        removal();
    }
    let prefix = lifetime::own_prefix();
    let Ok(names) = fs::read_dir("/run/netns") else {
        return;
    };
    for name in names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        if let Some((id, _)) = name.split_once('-')
            && id.starts_with(&prefix)
        {
            let _ = ownership::remove(id);
        }
    }
}
