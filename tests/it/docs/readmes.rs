//! The README in English and in Chinese: the same skeleton, commands and settings.

use super::{Line, lines, read};

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

/// Headings, lists, tables and code in their order; text for people left out.
fn skeleton(text: &str) -> Vec<String> {
    let parts = lines(text).into_iter().filter_map(|line| match line {
        Line::Text(line) => mark(line),
        Line::Code("mermaid", line) => Some(format!("mermaid {}", shape(line))),
        Line::Code(language, line) => Some(format!("{language} {}", without_comment(line))),
        Line::End => Some("end".to_owned()),
    });
    parts.collect()
}

/// What a line of text is, if anything but text. Of a setting also its name, and the default that is a value.
fn mark(line: &str) -> Option<String> {
    let bare = line.trim_start();
    if let Some(row) = bare.strip_prefix('|') {
        let cells: Vec<&str> = row.split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect();
        let name = cells[0].split('`').nth(1).unwrap_or_default();
        let default = cells.get(1).filter(|cell| cell.starts_with('`') && cell.ends_with('`')).copied();
        return Some(format!("| {name} | {}", default.unwrap_or_default()));
    }
    let first = bare.split(' ').next().unwrap_or_default();
    let is_number = first.strip_suffix('.').is_some_and(|digits| digits.parse::<u32>().is_ok());
    let is_mark =
        first == "-" || first == "<!--" || is_number || (!first.is_empty() && first.bytes().all(|it| it == b'#'));
    is_mark.then(|| first.to_owned())
}

/// Of a picture: its nodes and arrows, without the words on them.
fn shape(line: &str) -> String {
    let (mut shape, mut depth, mut quoted) = (String::new(), 0_usize, false);
    for char in line.chars() {
        match char {
            '"' => quoted = !quoted,
            '[' | '(' if !quoted => depth += 1,
            ']' | ')' if !quoted => depth = depth.saturating_sub(1),
            _ if depth == 0 && !quoted => shape.push(char),
            _ => {}
        }
    }
    shape
}

fn without_comment(line: &str) -> &str {
    line.split_once("  # ").map_or(line, |(command, _)| command).trim_end()
}

#[test]
fn both_have_the_same_skeleton_commands_and_settings() {
    let (english, chinese) = (skeleton(&read(ENGLISH)), skeleton(&read(CHINESE)));
    for (index, (ours, theirs)) in english.iter().zip(&chinese).enumerate() {
        assert_eq!(ours, theirs, "{ENGLISH} and {CHINESE} differ after {:?}", &english[index.saturating_sub(3)..index]);
    }
    assert_eq!(english.len(), chinese.len(), "one goes on");
}

#[test]
fn each_links_to_the_other_at_its_head() {
    for (path, other) in [(ENGLISH, CHINESE), (CHINESE, ENGLISH)] {
        let text = read(path);
        let head: Vec<&str> = text.lines().take(4).collect();
        assert!(head.iter().any(|line| line.contains(&format!("]({other})"))), "{path} does not link to {other}");
    }
}

#[test]
fn whatever_is_translated_is_in_chinese() {
    let text = read(CHINESE);
    let prose = lines(&text).into_iter().filter_map(|line| if let Line::Text(line) = line { Some(line) } else { None });
    let is_chinese = |line: &str| line.chars().any(|char| ('\u{4e00}'..='\u{9fff}').contains(&char));
    let left: Vec<&str> = prose.filter(|line| line.len() > 60 && !is_chinese(line)).collect();
    assert!(left.is_empty(), "left in English: {left:#?}");
}
