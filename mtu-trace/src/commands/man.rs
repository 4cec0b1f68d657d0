//! `man`: the manual's pages, one for the whole and one for each command.

use std::{fs, io};

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli;
use crate::cli::{Cli, EXIT_STATUS};
use crate::commands::output::print_text;

/// What is typed most, and what it does.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "sudo mtu-trace record -- docker build .",
        "Trace while the build runs, then print what is wrong; the status is the build's.",
    ),
    (
        "sudo mtu-trace record -o build.pcapng -- docker build .",
        "The same, and keep the evidence.",
    ),
    (
        "mtu-trace report --format json build.pcapng",
        "Print the report of what was kept, on any machine.",
    ),
    (
        "sudo mtu-trace check --exit-code",
        "Look for MTUs that do not fit, without any traffic, as a gate.",
    ),
];

pub fn run(options: &cli::Man) -> Result<u8> {
    let pages = pages().context("cannot make the manual's pages")?;
    let Some(directory) = &options.output_dir else {
        let main = pages.first().map_or(&[][..], |(_, page)| page);
        return print_text(main).map(|()| 0);
    };
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    for (name, page) in pages {
        let path = directory.join(name);
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(0)
}

/// Names of files and what belongs in them; the page of the whole is the first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    // `mtu-trace help record` shows what the page of `record` has.
    let mut command = Cli::command()
        .disable_help_subcommand(true)
        .mut_subcommand("explain", |explain| {
            explain.mut_arg("verdict", |verdict| verdict.hide_possible_values(false))
        });
    // Gives the commands their full names and the options that all have.
    command.build();
    let all = std::iter::once(&command).chain(command.get_subcommands());
    all.map(page).collect()
}

fn page(command: &Command) -> io::Result<(String, Vec<u8>)> {
    let mut command = command.clone();
    let main = command.has_subcommands();
    // What `--help` says. The pages' own form of it leaves out values, and the `--` before COMMAND.
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let man = Man::new(command.override_usage(usage))
        .source(concat!("mtu-trace ", env!("CARGO_PKG_VERSION")))
        .manual("mtu-trace");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut more = Roff::new();
    if main {
        man.render_subcommands_section(&mut page)?;
        more.control("SH", ["EXIT STATUS"]);
        more.text([roman(EXIT_STATUS)]);
        more.control("SH", ["EXAMPLES"]);
        for (line, meaning) in EXAMPLES {
            more.control("TP", []);
            more.text([bold(*line)]);
            more.text([roman(*meaning)]);
        }
    } else {
        more.control("SH", ["SEE ALSO"]);
        more.text([bold("mtu-trace"), roman("(1)")]);
    }
    more.to_writer(&mut page)?;
    Ok((man.get_filename(), page))
}
