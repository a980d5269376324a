//! No link leads to nothing: files and headings of this repository are there. Links to other hosts are not followed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{Line, documents, lines, root};

/// Where the text's links lead: `](target)`, code left out.
fn targets(text: &str) -> Vec<String> {
    let prose: Vec<&str> = lines(text)
        .into_iter()
        .filter_map(|line| if let Line::Text(text) = line { Some(text) } else { None })
        .collect();
    let prose = prose.join("\n");
    // What is left of code spans is their outside, as long as none holds a backtick of its own.
    let outside: String = prose.split('`').step_by(2).collect();
    let ends = outside.split("](").skip(1);
    ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in lines(text) {
        let Line::Text(line) = line else { continue };
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = |char: char| match char {
            ' ' => Some('-'),
            '-' | '_' => Some(char),
            _ => char.is_alphanumeric().then_some(char),
        };
        let anchor: String = heading.trim().to_lowercase().chars().filter_map(kept).collect();
        let count = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

/// The path without `.` and `..`, which `Path::join` keeps.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn every_link_leads_somewhere() {
    let documents: BTreeMap<PathBuf, String> = documents().into_iter().collect();
    let (mut checked, mut dead) = (0, Vec::new());
    for (path, text) in &documents {
        for target in targets(text) {
            if target.starts_with("http://") || target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.clone() } else { plain(&path.parent().unwrap().join(file)) };
            let found = match documents.get(&file) {
                Some(text) => anchor.is_empty() || anchors(text).contains(anchor),
                None => anchor.is_empty() && root().join(&file).exists(),
            };
            if !found {
                dead.push(format!("{}: {target}", path.display()));
            }
            checked += 1;
        }
    }
    assert!(dead.is_empty(), "{} dead links:\n{}", dead.len(), dead.join("\n"));
    assert!(checked > 100, "only {checked} links were found");
}

#[test]
fn anchors_are_githubs() {
    let text = "# One `two`\n```sh\n# no heading\n```\n## Three, and 4: done?\n## Three, and 4: done?\n#hash";
    let expected = ["one-two", "three-and-4-done", "three-and-4-done-1"];
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), expected);
}
