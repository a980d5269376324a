//! `explain`: why a callback fails verification, offline. The last line of stdout is for scripts, the
//! lines before it are for people; neither ever holds a secret.

use std::io::{IsTerminal as _, Read as _, stderr, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args as ClapArgs;

use crate::callback::explain::{Case, Cause, Effort, Typed, explain};
use crate::config::Source;
use crate::domain::CorpId;

use super::report::{self, BOLD, GREEN, RED};
use super::{Exit, Hinted};

const EXAMPLES: &str = "\
A URL that WeCom's console refuses, as the log of the proxy has it (in quotes: `&` ends a command):
  wxkf-gateway explain --corp-id ww1234567890abcdef --url 'https://…/callback/ww1234567890abcdef?msg_signature=…'

A message, with the body that was posted:
  wxkf-gateway explain --corp-id ww1234567890abcdef --url '…' --body callback.xml

Token and EncodingAESKey are read from CALLBACK_TOKEN and CALLBACK_AES_KEY, or asked for on the terminal.
The last line is `ok`, or `wrong: ` with one of `token`, `aes-key`, `corp-id`, `url` and `body`.
Exit codes: 0 ok, 1 wrong, 2 wrong command line.";

/// More is no callback: the gateway takes 1 MiB.
const BODY_LIMIT: u64 = 8 * 1024 * 1024;
/// Columns of the narrowest terminal that people use.
const COLUMNS: usize = 78;

#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The corp id (or suite id) of the callback URL
    #[arg(long, value_name = "ID", value_parser = CorpId::parse)]
    corp_id: CorpId,
    /// The callback URL as WeCom called it, query included
    #[arg(long)]
    url: String,
    /// What was posted to it; `-` reads stdin. Without it, the call is the verification of a URL
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let (token, aes_key, body) = match given(args) {
        Ok(given) => given,
        Err(error) => return Ok(mistaken(&error)),
    };
    let typed = [Typed { token: &token, aes_key: &aes_key, receive_ids: &[] }];
    let body = body.as_deref();
    let (corp, url, effort) = (&args.corp_id, &*args.url, Effort::Thorough);
    let case = Case { corp, url, body, credentials: &typed, neighbours: &[], effort };
    match explain(&case) {
        Ok(()) => {
            report::data(wrapped("fine", "signature, AES key and corp id fit: WeCom's callback is genuine"));
            report::data(format_args!("{GREEN}ok{GREEN:#}"));
            Ok(Exit::Success)
        }
        Err(cause) => {
            tell(&cause);
            Ok(Exit::Failure)
        }
    }
}

/// The secrets as they were typed, flaws and all, and the body.
fn given(args: &Args) -> anyhow::Result<(String, String, Option<Vec<u8>>)> {
    let source = Source::process();
    let token = secret(&source, "CALLBACK_TOKEN", "Token")?;
    let aes_key = secret(&source, "CALLBACK_AES_KEY", "EncodingAESKey")?;
    let body = args.body.as_deref().map(read).transpose().context("--body")?;
    Ok((token, aes_key, body))
}

fn secret(source: &Source, variable: &str, name: &str) -> anyhow::Result<String> {
    if let Some(text) = source.text(variable) {
        return Ok(text);
    }
    if !stdin().is_terminal() && !stderr().is_terminal() {
        let error = anyhow!("{variable} is not set, and there is no terminal to ask for it on");
        return Err(Hinted::new(error, format!("set {variable} to the {name} of the callback's configuration")).into());
    }
    rpassword::prompt_password(format!("{name} (not shown): ")).with_context(|| format!("cannot ask for {variable}"))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    if path == Path::new("-") {
        stdin().take(BODY_LIMIT).read_to_end(&mut body)?;
    } else {
        let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
        file.take(BODY_LIMIT).read_to_end(&mut body).with_context(|| path.display().to_string())?;
    }
    Ok(body)
}

fn mistaken(error: &anyhow::Error) -> Exit {
    super::failed(error);
    Exit::Usage
}

fn tell(cause: &Cause) {
    report::data(wrapped("what", &cause.what()));
    report::data(wrapped("do", &cause.remedy()));
    report::data(format_args!("{RED}wrong: {}{RED:#}", cause.wrong()));
}

/// A word in front, and the text beside it, broken between words.
fn wrapped(label: &str, text: &str) -> String {
    const INDENT: usize = 6;
    let mut lines = format!("{BOLD}{label:<INDENT$}{BOLD:#}");
    let mut column = INDENT;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > INDENT && column + 1 + width > COLUMNS {
            lines += &format!("\n{:INDENT$}", "");
            column = INDENT;
        } else if column > INDENT {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        let text = "word ".repeat(40);
        let lines = anstream::adapter::strip_str(&wrapped("do", text.trim())).to_string();
        assert!(lines.lines().count() > 2);
        assert!(lines.lines().all(|line| line.len() <= COLUMNS && (line.starts_with("do    word") || line.starts_with("      word"))));
    }
}
