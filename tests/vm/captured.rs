//! A capture that was taken on a machine's kernel, reported on the kernel that runs here: the findings
//! are the same.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::command;
use serde_json::Value;

use lab::machine::boot::Run;

/// What only functions of the kernel tell: whom a message has reached, and of timeouts.
const TOLD: [&str; 2] = ["by the sender's socket", "tcp_retransmit_timer: "];

/// Puts the capture in the results of `run` into `file`, its report beside it, and reports it anew.
pub fn compare(run: &Run, mtu_trace: &Path, file: &Path) -> Result<()> {
    let there = run.part("report").trim();
    for words in TOLD {
        ensure!(there.contains(words), "its report does not say \"{words}\"");
    }
    decode(run.part("capture"), file)?;
    let json = file.with_extension("json");
    fs::write(&json, there).with_context(|| format!("cannot write {}", json.display()))?;
    let here = command::output(
        Command::new(mtu_trace)
            .arg("report")
            .arg(file)
            .args(["--format", "json"]),
    )?;
    let [there, here] = [there, here.trim()].map(findings);
    let (there, here) = (there?, here?);
    ensure!(
        there == here,
        "its capture is reported otherwise here: {} and {} differ",
        json.display(),
        file.display()
    );
    Ok(())
}

/// The findings of a report, of which there are some.
fn findings(report: &str) -> Result<Value> {
    let mut report: Value =
        serde_json::from_str(report).context("the report of a capture is no JSON")?;
    let findings = report["findings"].take();
    let some = findings.as_array().is_some_and(|list| !list.is_empty());
    ensure!(some, "the report of a capture has no findings");
    Ok(findings)
}

/// What `base64` made of a file.
fn decode(text: &str, file: &Path) -> Result<()> {
    let to = fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let mut base64 = Command::new("base64")
        .arg("-di")
        .stdin(Stdio::piped())
        .stdout(to)
        .spawn()
        .context("cannot start base64")?;
    let mut stdin = base64.stdin.take().context("its input is piped")?;
    stdin
        .write_all(text.as_bytes())
        .context("cannot write to base64")?;
    drop(stdin);
    let status = base64.wait().context("cannot wait for base64")?;
    ensure!(status.success(), "the machine's capture is not whole");
    Ok(())
}
