//! `completions`: the script that completes the command line in a shell.

use anyhow::Result;
use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::cli::{Cli, Completions};
use crate::commands::output::print_text;

pub fn run(options: &Completions) -> Result<u8> {
    print_text(script(options.shell).as_bytes()).map(|()| 0)
}

/// The script. It is made before any of it is written: `generate` panics where it cannot write.
fn script(shell: Shell) -> String {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // The hyphen is written in two ways, so that nothing behind a command would be completed:
        // https://github.com/clap-rs/clap/issues/6421
        Shell::Bash => script.replace("mtu__subcmd__trace", "mtu__trace"),
        Shell::Fish => script + &fish_arguments(&command),
        _ => script,
    }
}

/// The values of arguments, which `generate` leaves out for fish: it has those of options only.
fn fish_arguments(command: &Command) -> String {
    let name = command.get_name();
    let function = name.replace('-', "_");
    let mut lines = String::new();
    for subcommand in command.get_subcommands() {
        let subname = subcommand.get_name();
        let seen = format!("__fish_{function}_using_subcommand {subname}");
        let arguments = subcommand.get_positionals();
        let values = arguments.flat_map(clap::Arg::get_possible_values);
        for value in values.filter(|value| !value.is_hide_set()) {
            let help = value.get_help().map(ToString::to_string);
            lines += &format!(
                "complete -c {name} -n \"{seen}\" -f -a {} -d {}\n",
                fish_quoted(value.get_name()),
                fish_quoted(&help.unwrap_or_default())
            );
        }
    }
    lines
}

/// A text as fish reads it: within single quotes, only they and the backslash mean something.
fn fish_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::model::finding::Verdict;

    #[test]
    fn every_script_has_every_command_and_its_values() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for subcommand in Cli::command().get_subcommands() {
                assert!(script.contains(subcommand.get_name()), "{shell}");
            }
            assert!(script.contains("--exit-code") || script.contains("-l exit-code"));
        }
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let script = script(shell);
            for verdict in Verdict::ALL {
                assert!(script.contains(verdict.name()), "{shell}: {verdict:?}");
            }
            assert!(script.contains("markdown"), "{shell}");
        }
    }

    #[test]
    fn fish_has_the_verdicts_with_what_they_mean() {
        let line = "complete -c mtu-trace -n \"__fish_mtu_trace_using_subcommand explain\" -f \
                    -a 'mtu-black-hole' -d 'A hanging connection\\'s oversized packets die on this \
                    host.'\n";
        assert!(script(Shell::Fish).contains(line));
        // The condition is a function that the script defines.
        assert!(script(Shell::Fish).contains("function __fish_mtu_trace_using_subcommand\n"));
    }

    #[test]
    fn fish_quotes_what_means_something_to_it() {
        assert_eq!(fish_quoted(r"it's a \n"), r"'it\'s a \\n'");
    }
}
