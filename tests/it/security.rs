//! `SECURITY.md` names a test for each threat: they exist.

use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What stands in backticks in the last column of the table.
fn named(line: &str) -> Vec<String> {
    let Some(last) = line.trim_end_matches('|').rsplit('|').next() else { return Vec::new() };
    last.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut code) = (Vec::new(), String::new());
    for dir in ["src", "tests/it"] {
        sources(&root.join(dir), &mut files);
    }
    for file in &files {
        code += &std::fs::read_to_string(file).unwrap();
    }
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()).collect();
    assert!(rows.len() >= 30, "{} rows", rows.len());
    for row in rows {
        let names = named(row);
        assert!(!names.is_empty() || row.contains("the same"), "no test: {row}");
        for name in names.iter().filter(|name| name.contains("::")) {
            let last = name.rsplit("::").next().unwrap();
            let module = |parts: &str| {
                let path = parts.replace("::…", "").replace("::", "/");
                files.iter().any(|file| file.to_str().unwrap().contains(&format!("/{path}")))
            };
            assert!(code.contains(&format!("fn {last}(")) || module(name), "{name} does not exist: {row}");
        }
    }
}
