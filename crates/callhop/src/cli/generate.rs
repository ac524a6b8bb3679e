//! `callhop completions` and `callhop man`: what is made from the definition of the command line itself.
//!
//! Needs no configuration, so that a package can be built where there is none.

use std::path::Path;

use anyhow::Context as _;
use clap::{CommandFactory as _, ValueEnum};
use clap_complete::aot::{self, Generator};

use super::{Arguments, Done, Exit, Failure, output};

/// The shells that packages have a folder for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Prints what the shell reads.
pub(super) fn completions(shell: Shell) -> Done {
    output::text(completion_text(shell))
}

fn completion_text(shell: Shell) -> Vec<u8> {
    match shell {
        Shell::Bash => generated(aot::Bash),
        Shell::Fish => generated(aot::Fish),
        Shell::Zsh => generated(aot::Zsh),
    }
}

fn generated(shell: impl Generator) -> Vec<u8> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    aot::generate(shell, &mut command, name, &mut text);
    text
}

/// Writes a page for the program and one for each command, such as `callhop-route-set.1`.
pub(super) fn man(folder: &Path) -> Done {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder))
        .with_context(|| format!("the pages cannot be written into {}", folder.display()))
        .map_err(|error| Failure::new(Exit::Failed, error))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every command with its words: `["route", "set"]`.
    fn commands() -> Vec<Vec<String>> {
        fn collect(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
            for sub in command.get_subcommands() {
                let words = [words, &[sub.get_name().to_owned()]].concat();
                collect(sub, &words, all);
                all.push(words);
            }
        }
        let mut all = Vec::new();
        collect(&Arguments::command(), &[], &mut all);
        assert!(all.contains(&vec!["route".into(), "set".into()]), "{all:?}");
        all
    }

    #[test]
    fn every_command_has_a_page_and_no_other_has() {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("man1");
        man(&pages).unwrap();
        let found: BTreeSet<String> = std::fs::read_dir(&pages)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let expect: BTreeSet<String> = commands()
            .iter()
            .map(|words| format!("callhop-{}.1", words.join("-")))
            .chain(["callhop.1".to_owned()])
            .collect();
        assert_eq!(found, expect);
        let main = std::fs::read_to_string(pages.join("callhop.1")).unwrap();
        for part in [".TH callhop 1", "Exit codes:", "callhop\\-route(1)"] {
            assert!(main.contains(part), "{part}: {main}");
        }
        let set = std::fs::read_to_string(pages.join("callhop-route-set.1")).unwrap();
        for part in ["\\-\\-until", "\\-\\-config", "Examples:"] {
            assert!(set.contains(part), "{part}: {set}");
        }
    }

    #[test]
    fn every_shell_knows_every_command() {
        for shell in Shell::value_variants() {
            let text = String::from_utf8(completion_text(*shell)).unwrap();
            for words in commands() {
                // Zsh and Bash name a command by its whole way, Fish by what was typed before it.
                let way = match shell {
                    Shell::Bash => format!("callhop__subcmd__{}", words.join("__subcmd__")),
                    Shell::Fish => format!("-a \"{}\"", words[words.len() - 1]),
                    Shell::Zsh => format!("_callhop__subcmd__{}", words.join("__subcmd__")),
                };
                assert!(text.contains(&way), "{shell:?}: {way}");
            }
        }
    }
}
