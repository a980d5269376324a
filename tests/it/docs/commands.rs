//! Commands and flags that documents name exist: they are compared with `--help` of the real binary.

use std::collections::BTreeMap;
use std::process::Command;

use super::{Line, documents, lines};

/// How documents call the program. A chart, an image or a unit of its name stands elsewhere in a command.
const PROGRAM: [&str; 3] = ["wxkf-gateway", "target/release/wxkf-gateway", "/usr/local/bin/wxkf-gateway"];

/// The `--help` of a command, each asked for once.
#[derive(Default)]
struct Help(BTreeMap<String, Option<String>>);

impl Help {
    /// `None` when there is no such command.
    fn of(&mut self, command: &str) -> Option<&str> {
        let ask = || {
            let mut program = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
            let output = program.env_clear().args(command.split_whitespace()).arg("--help").output().unwrap();
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
        };
        self.0.entry(command.to_owned()).or_insert_with(ask).as_deref()
    }

    fn is_command(&mut self, within: &str, word: &str) -> bool {
        self.of(within).is_some_and(|help| listed(help).any(|command| command == word))
    }

    fn is_flag(&mut self, command: &str, flag: &str) -> bool {
        let words = |help: &str| help.split([' ', '\n', ',']).any(|word| word == flag);
        self.of(command).is_some_and(words)
    }
}

/// The commands that a `--help` lists.
fn listed(help: &str) -> impl Iterator<Item = &str> {
    let list = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    list.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
}

/// A document's code: each command line of its blocks, with the lines that continue it, and each code span.
fn code(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut prose = String::new();
    let mut goes_on = false;
    for line in lines(text) {
        match line {
            Line::Text(line) => prose = prose + line + "\n",
            Line::Code("sh" | "", line) => {
                let (line, more) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
                match found.last_mut().filter(|_| goes_on) {
                    Some(last) => *last = format!("{last} {line}"),
                    None => found.push(line.to_owned()),
                }
                goes_on = more;
            }
            Line::Code(..) | Line::End => goes_on = false,
        }
    }
    found.extend(prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
    found
}

/// The words after each mention of the program, up to where its command ends.
fn calls(code: &str) -> Vec<Vec<&str>> {
    let words: Vec<&str> =
        code.split_whitespace().map(|word| word.trim_start_matches("$(").trim_matches('"')).collect();
    let mentions = words.iter().enumerate().filter(|(_, word)| PROGRAM.contains(word));
    let until_end = |(index, _)| words[index + 1..].iter().copied().take_while(|word| !ends(word)).collect();
    mentions.map(until_end).collect()
}

fn ends(word: &str) -> bool {
    matches!(word, "|" | "||" | "&" | "&&" | ";" | "#" | ">" | "2>&1") || PROGRAM.contains(&word)
}

/// What of a call does not exist.
fn unknown(help: &mut Help, call: &[&str]) -> Option<String> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let mut command = String::new();
    let mut words = call.iter().map(|word| word.trim_end_matches([')', '"', ';', ',', ':'])).peekable();
    while let Some(word) = words.next_if(|word| is_word(word) && !word.starts_with('-')) {
        if !help.is_command(&command, word) {
            let takes_commands = command.is_empty() || command == "simulate";
            return takes_commands.then(|| format!("{command} {word}"));
        }
        command = format!("{command} {word}").trim().to_owned();
    }
    let flags =
        words.take_while(|word| !word.starts_with('-') || word.starts_with("--")).filter(|word| word.starts_with("--"));
    let mut names = flags.map(|flag| flag.split('=').next().unwrap_or(flag));
    names.find(|flag| !help.is_flag(&command, flag)).map(|flag| format!("{command} {flag}"))
}

#[test]
fn every_command_and_flag_exists() {
    let (mut help, mut checked, mut wrong) = (Help::default(), 0, Vec::new());
    for (path, text) in documents() {
        for code in code(&text) {
            for call in calls(&code) {
                wrong.extend(unknown(&mut help, &call).map(|what| format!("{}: {what}", path.display())));
                checked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "no such command or flag:\n{}", wrong.join("\n"));
    assert!(checked > 60, "only {checked} calls were found");
}

#[test]
fn what_does_not_exist_is_found() {
    let mut help = Help::default();
    let mut unknown = |code: &str| calls(code).iter().find_map(|call| unknown(&mut help, call));
    for right in
        ["wxkf-gateway", "wxkf-gateway copy --from x --to y | cat", "A=$(wxkf-gateway admin-token)", "x wxkf-gateway ."]
    {
        assert_eq!(unknown(right), None, "{right}");
    }
    for wrong in
        ["wxkf-gateway dance", "wxkf-gateway --dance", "wxkf-gateway simulate wecom --dance", "wxkf-gateway simulate x"]
    {
        assert!(unknown(wrong).is_some(), "{wrong}");
    }
}
