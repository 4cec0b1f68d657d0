//! The screens over the demo's fault: for a person, or for a picture.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, anyhow};

use crate::demo::{DOWNLOAD, fault};
use crate::picture::svg;
use crate::terminal::Terminal;
use crate::topology::NestedLab;
use crate::traffic::Transfer;

/// How long the container waits for a download before it tries again.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often it tries: the traffic ends, also if nobody ends it.
const MOST_DOWNLOADS: usize = 60;
/// Sizes of the pictures, columns and rows.
const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// Shows `binary live` in this terminal while the demo's container downloads in vain, again and again.
///
/// # Errors
///
/// Not root, the lab cannot be built, or the program cannot be started.
pub fn live(binary: &Path) -> Result<ExitStatus> {
    let lab = fault()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let downloads = scope.spawn(|| download(&lab, &over));
        let status = Command::new(binary).arg("live").status();
        over.store(true, Ordering::Relaxed);
        let downloads = downloads.join();
        downloads.map_err(|_| anyhow!("the downloads panicked"))??;
        status.with_context(|| format!("starting {}", binary.display()))
    })
}

/// Draws the screens of `binary live` over the demo's fault at several sizes, as files in a directory.
/// Returns how long it took from the start of the download until the verdict was on the screen.
///
/// # Errors
///
/// As for [`live`], the verdict does not come, or the files cannot be written.
pub fn pictures(binary: &Path, directory: &Path) -> Result<Duration> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    let lab = fault()?;
    let mut command = Command::new(binary);
    // What else runs on this machine is nobody's business.
    let own = [lab.inside()?, lab.out()?, lab.host()?, lab.server()?];
    command.arg("live").env("COLORTERM", "truecolor");
    for netns in own {
        command.args(["--netns", netns.name()]);
    }
    let (columns, rows) = SIZES[1];
    let mut terminal = Terminal::start(command, columns, rows)?;
    terminal.shows("LIVE")?;
    // Everything is attached once it says how many hooks there are.
    terminal.shows("hooks")?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let start = Instant::now();
        let downloads = scope.spawn(|| download(&lab, &over));
        let drawn = verdict(&mut terminal, start)
            .and_then(|took| draw(&mut terminal, directory).map(|()| took));
        over.store(true, Ordering::Relaxed);
        let downloads = downloads.join();
        downloads.map_err(|_| anyhow!("the downloads panicked"))??;
        let drawn = drawn?;
        terminal.press("q")?;
        terminal.end()?;
        Ok(drawn)
    })
}

fn verdict(terminal: &mut Terminal, start: Instant) -> Result<Duration> {
    terminal.shows("mtu-black-hole")?;
    let took = start.elapsed();
    // Three resends more, so that there is something to be seen.
    terminal.shows("for 4")?;
    Ok(took)
}

fn draw(terminal: &mut Terminal, directory: &Path) -> Result<()> {
    for (columns, rows) in SIZES {
        terminal.resize(columns, rows)?;
        terminal.until("a screen of the new size", |screen| {
            let last = screen.rows(0, columns).nth(usize::from(rows) - 1);
            last.is_some_and(|line| line.contains("q Quit"))
        })?;
        let path = directory.join(format!("live-{columns}x{rows}.svg"));
        let title = format!("mtu-trace live, {columns} columns and {rows} rows");
        fs::write(&path, svg(terminal.screen(), &title))
            .with_context(|| format!("writing {}", path.display()))?;
        println!("== {}\n{}", path.display(), terminal.screen().contents());
    }
    Ok(())
}

fn download(lab: &NestedLab, over: &AtomicBool) -> Result<()> {
    let transfer = Transfer {
        limit: PATIENCE,
        ..DOWNLOAD
    };
    for _ in 0..MOST_DOWNLOADS {
        if over.load(Ordering::Relaxed) {
            break;
        }
        lab.run(&transfer)?;
    }
    Ok(())
}
