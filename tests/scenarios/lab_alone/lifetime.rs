//! A lab removes what it made, whatever ends it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::Lab;
use lab::topology::Nested;
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn nothing_is_left_of_a_lab() -> Result<()> {
    let lab = Nested::default().build()?;
    let names: Vec<String> = lab
        .lab
        .namespaces()
        .map(|netns| netns.name().to_owned())
        .collect();
    let exists = |name: &String| fs::exists(format!("/run/netns/{name}")).unwrap_or_default();
    ensure!(names.len() == 4 && names.iter().all(exists), "{names:?}");
    drop(lab);
    ensure!(!names.iter().any(exists), "{names:?}");
    Ok(())
}

#[test]
fn a_panic_removes_the_lab() -> Result<()> {
    let (tell, told) = std::sync::mpsc::channel();
    let ended = std::thread::spawn(move || {
        let mut lab = Lab::new().unwrap();
        lab.add(&["in"]).unwrap();
        tell.send(lab.netns("in").unwrap().name().to_owned())
            .unwrap();
        panic!("as a failing test does");
    })
    .join();
    let name = told.recv().context("the name of the namespace")?;
    ensure!(ended.is_err() && !fs::exists(format!("/run/netns/{name}"))?);
    Ok(())
}

/// Not a test of its own: holds a lab until its standard input ends, for the one below to kill.
#[test]
#[ignore = "started by signals_and_crashes_leave_nothing"]
fn holds_a_lab() -> Result<()> {
    let lab = Nested::default().build()?;
    println!("\nlab {}", lab.lab.id());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[test]
fn signals_and_crashes_leave_nothing() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut holder = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "lifetime::holds_a_lab",
                "--ignored",
                "--nocapture",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // Kept apart, since waiting for a child closes its input.
        let _input = holder.stdin.take();
        let output = BufReader::new(holder.stdout.take().context("no output")?);
        let id = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("lab ").map(str::to_owned))
            .context("no lab was made")?;
        let left = || -> Result<usize> {
            let names = fs::read_dir("/run/netns")?
                .filter_map(|it| it.ok()?.file_name().into_string().ok());
            Ok(names
                .filter(|name| name.starts_with(&format!("{id}-")))
                .count())
        };
        ensure!(left()? == 4, "{} namespaces of {id}", left()?);
        kill_process(Pid::from_child(&holder), signal)?;
        let status = holder.wait()?;
        ensure!(
            status.signal() == Some(signal.as_raw()),
            "{status} after {signal:?}"
        );
        if signal == Signal::KILL {
            lab::sweep()?;
        }
        ensure!(
            left()? == 0,
            "{} namespaces of {id} after {signal:?}",
            left()?
        );
    }
    Ok(())
}

#[test]
fn a_second_lab_of_a_thread_waits_for_nobody() -> Result<()> {
    let first = Lab::new()?;
    let waiting = std::thread::spawn(|| Lab::exclusive().map(drop));
    // The other thread cannot be alone before this one is done, and must not hold it up.
    drop(Lab::new()?);
    ensure!(Lab::exclusive().is_err() && !waiting.is_finished());
    drop(first);
    waiting
        .join()
        .map_err(|_| anyhow::anyhow!("the waiting thread panicked"))?
}

#[test]
fn a_dead_lab_is_swept_and_a_living_one_is_not() -> Result<()> {
    let mut living = Lab::new()?;
    living.add(&["in"])?;
    // As a process that was killed leaves it: a name, and perhaps a lock that nobody holds.
    let dead = format!("mtl{}x999999-in", std::process::id());
    lab::command::run("ip", &["netns", "add", &dead])?;
    lab::sweep()?;
    ensure!(
        !fs::exists(format!("/run/netns/{dead}"))?,
        "{dead} is still there"
    );
    ensure!(fs::exists(format!(
        "/run/netns/{}",
        living.netns("in")?.name()
    ))?);
    Ok(())
}
