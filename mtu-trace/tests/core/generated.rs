//! Completions and manual pages: what a shell and `man` make of them.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{fs, io};

use clap::CommandFactory as _;
use mtu_trace::testing::{Cli, Verdict};

const BINARY: &str = env!("CARGO_BIN_EXE_mtu-trace");

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Names of all commands, but `help`.
fn commands() -> Vec<String> {
    let command = Cli::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    names.map(str::to_owned).collect()
}

fn scratch(name: &str) -> std::path::PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
        _ => directory,
    }
}

/// What bash offers at the end of a line whose words these are, in a directory with captures.
fn completed(words: &[&str]) -> Vec<String> {
    const DRIVER: &str = r#"
        source <("$MTU_TRACE" completions bash) || exit 1
        COMP_WORDS=(mtu-trace "$@")
        COMP_CWORD=$#
        [[ $(complete -p mtu-trace) =~ -F\ ([^ ]+) ]] || exit 1
        # Known only where a completion was asked for by a key.
        compopt() { :; }
        "${BASH_REMATCH[1]}" mtu-trace "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/golden");
    let output = Command::new("bash")
        .args(["--norc", "-c", DRIVER, "bash"])
        .args(words)
        .env("MTU_TRACE", BINARY)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn bash_takes_the_script() {
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = printed(&["completions", "bash"]);
    io::Write::write_all(&mut bash.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    let offered = completed(&[""]);
    for command in commands() {
        assert!(offered.contains(&command), "{command}: {offered:?}");
    }
    assert_eq!(completed(&["rep"]), ["replay", "report"]);
    assert_eq!(completed(&["record", "--exit"]), ["--exit-code"]);
    assert_eq!(
        completed(&["report", "filtered.pcapng.zst", "--format", ""]),
        ["text", "json", "ndjson", "markdown"]
    );
    assert_eq!(completed(&["export", "x", "--format", "nd"]), ["ndjson"]);
    assert_eq!(
        completed(&["record", "--without", "sock"]),
        ["sock:inet_sock_set_state"]
    );
    assert_eq!(
        completed(&["record", "-o", "filtered."]),
        ["filtered.pcapng.zst"]
    );
    assert_eq!(completed(&["record", "--duration", ""]), [""; 0]);
    let offered = completed(&["explain", ""]);
    for verdict in Verdict::ALL {
        assert!(
            offered.iter().any(|name| name == verdict.name()),
            "{verdict:?}"
        );
    }
    assert_eq!(completed(&["explain", "pmtud-s"]), ["pmtud-slow"]);
    // Where the function offers nothing, bash offers files.
    assert_eq!(completed(&["report", "fil"]), [""; 0]);
    assert!(printed(&["completions", "bash"]).contains("-o default mtu-trace"));
}

#[test]
fn unknown_shells_are_bad_usage() {
    let output = run(&["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(message.contains(shell), "{message}");
    }
}

#[test]
fn every_command_has_a_page() {
    let directory = scratch("man/made/man1");
    let path = directory.to_str().unwrap();
    assert_eq!(printed(&["man", "--output-dir", path]), "");
    let mut files: Vec<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut expected = vec!["mtu-trace.1".to_owned()];
    expected.extend(commands().iter().map(|name| format!("mtu-trace-{name}.1")));
    expected.sort();
    assert_eq!(files, expected);

    let page = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let main = page("mtu-trace.1");
    assert_eq!(printed(&["man"]), main);
    for section in ["NAME", "SYNOPSIS", "EXIT STATUS", "EXAMPLES"] {
        assert!(
            main.contains(&format!("\n.SH {section}\n"))
                || main.contains(&format!("\n.SH \"{section}\"\n")),
            "{section}: {main}"
        );
    }
    for name in commands() {
        assert!(
            main.contains(&format!("\nmtu\\-trace\\-{name}(1)\n")),
            "{main}"
        );
        let page = page(&format!("mtu-trace-{name}.1"));
        assert!(
            page.contains(&format!("\n\\fBmtu\\-trace {name}\\fR")),
            "{page}"
        );
    }
    // Not as the options alone would have it, but as it is typed.
    assert!(page("mtu-trace-record.1").contains("[\\-\\- <COMMAND>...]"));
    for verdict in Verdict::ALL {
        let name = verdict.name().replace('-', "\\-");
        assert!(page("mtu-trace-explain.1").contains(&name), "{name}");
    }
    // They are written again where they are.
    assert_eq!(printed(&["man", "--output-dir", path]), "");
}

#[test]
fn pages_that_cannot_be_written_are_one_message() {
    let output = run(&["man", "--output-dir", "/dev/null/man1"]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("/dev/null/man1") && message.lines().count() == 1);
}

#[test]
fn whoever_closes_the_pipe_has_read_enough() {
    for arguments in [&["man"][..], &["completions", "zsh"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Command::new(BINARY)
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
}
