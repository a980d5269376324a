//! The report: for people, wrapped so that it fits every terminal and log, or as one JSON document.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::super::report::{BOLD, DIM, GREEN, RED};
use super::finding::{Finding, Verdict};

/// Lines are no wider, on whatever terminal: longer ones read badly.
const WIDTH: usize = 79;
/// In front of a finding's text: two columns, the verdict, two columns.
const INDENT: usize = 11;
/// In front of what was tried and seen.
const LABEL: usize = 7;
/// Findings of one part that are all right and shown one by one.
const SHOWN: usize = 10;
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();

/// Everything found, in the order of its parts.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The doctor's own.
    release: &'static str,
    /// The running gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    verdict: Verdict,
    counts: Counts,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Counts {
    ok: usize,
    warnings: usize,
    wrong: usize,
    skipped: usize,
}

impl Report {
    pub(super) fn new(gateway: Option<String>, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.part);
        let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        let counts = Counts {
            ok: count(Verdict::Ok),
            warnings: count(Verdict::Warning),
            wrong: count(Verdict::Wrong),
            skipped: count(Verdict::Skipped),
        };
        let verdict = match counts {
            Counts { wrong: 1.., .. } => Verdict::Wrong,
            Counts { warnings: 1.., .. } => Verdict::Warning,
            _ => Verdict::Ok,
        };
        Self { release: env!("CARGO_PKG_VERSION"), gateway, verdict, counts, findings }
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.verdict == Verdict::Wrong
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for part in self.findings.chunk_by(|one, other| one.part == other.part) {
            let heading = part[0].part.heading();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{BOLD}{heading}{BOLD:#}");
            let is_ok = |finding: &&Finding| finding.verdict == Verdict::Ok;
            let hidden = part.iter().filter(is_ok).count().saturating_sub(SHOWN);
            part.iter().filter(|finding| !is_ok(finding)).for_each(|finding| write_finding(&mut text, finding));
            part.iter().filter(is_ok).take(SHOWN).for_each(|finding| write_finding(&mut text, finding));
            if hidden > 0 {
                let _ = writeln!(text, "  {GREEN}ok{GREEN:#}       and {hidden} more");
            }
            text.push('\n');
        }
        text + &self.summary()
    }

    fn summary(&self) -> String {
        let Counts { ok, warnings, wrong, skipped } = self.counts;
        let plural = if warnings == 1 { "" } else { "s" };
        let counts = format!("{wrong} wrong, {warnings} warning{plural}, {ok} ok, {skipped} not checked");
        match self.verdict {
            Verdict::Wrong => format!("{RED}{counts}{RED:#}: mend the first, then ask again."),
            Verdict::Warning => format!("{YELLOW}{counts}{YELLOW:#}: it works as it is."),
            Verdict::Ok | Verdict::Skipped => format!("{GREEN}{counts}{GREEN:#}: all is well."),
        }
    }
}

fn write_finding(text: &mut String, finding: &Finding) {
    let Finding { subject, verdict, tried, seen, advice, .. } = finding;
    let (word, style) = match verdict {
        Verdict::Ok => ("ok", GREEN),
        Verdict::Warning => ("warning", YELLOW),
        Verdict::Wrong => ("wrong", RED),
        Verdict::Skipped => ("skipped", DIM),
    };
    let _ = write!(text, "  {style}{word:<7}{style:#}  ");
    let Some(advice) = advice else {
        let subject = if subject.is_empty() { String::new() } else { format!("{subject}: ") };
        return paragraph(text, &format!("{subject}{tried} → {seen}"), INDENT);
    };
    paragraph(text, if subject.is_empty() { finding.part.heading() } else { subject }, INDENT);
    for (label, words) in [("tried", tried), ("seen", seen), ("do", advice)] {
        let _ = write!(text, "{:INDENT$}{DIM}{label:<LABEL$}{DIM:#}", "");
        paragraph(text, words, INDENT + LABEL);
    }
}

/// The words, from the present column on, which is `indent`; further lines begin there too.
fn paragraph(text: &mut String, words: &str, indent: usize) {
    let mut column = indent;
    for (index, word) in words.split_whitespace().enumerate() {
        let wide = width(word);
        if index > 0 && column + 1 + wide > WIDTH {
            let _ = write!(text, "\n{:indent$}", "");
            column = indent;
        } else if index > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += wide;
    }
    text.push('\n');
}

/// In columns; Chinese characters take two.
fn width(word: &str) -> usize {
    word.chars().map(|char| if ('\u{1100}'..='\u{ffe6}').contains(&char) && !is_narrow(char) { 2 } else { 1 }).sum()
}

/// Punctuation and arrows among the wide ones.
fn is_narrow(char: char) -> bool {
    ('\u{2000}'..'\u{2e80}').contains(&char)
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Part, Tried};
    use super::*;

    fn wrong(seen: &str) -> Finding {
        Tried::new(Part::Bot, "wk1", "GET http://bot/callback").wrong(seen, "start it")
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let report = Report::new(None, vec![wrong(&"some words 企业可信IP ".repeat(40))]);
        let text = anstream::adapter::strip_str(&report.text()).to_string();
        assert!(text.lines().count() > 12, "{text}");
        for line in text.lines() {
            assert!(line.split_inclusive(' ').map(width).sum::<usize>() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_shown_first_and_what_is_right_not_a_thousand_times() {
        let fine = |number: usize| Tried::new(Part::Bot, format!("wk{number}"), "GET").ok("it answers");
        let mut findings: Vec<Finding> = (0..1_000).map(fine).collect();
        findings.push(wrong("refused"));
        let report = Report::new(None, findings);
        let text = anstream::adapter::strip_str(&report.text()).to_string();
        assert!(
            text.starts_with(
                "Bots\n  wrong    wk1\n           tried  GET http://bot/callback\n           seen   refused\n"
            ),
            "{text}"
        );
        assert!(text.contains("  ok       and 990 more\n"), "{text}");
        assert!(report.is_wrong() && report.json().unwrap().contains("\"wk999\""));
    }
}
