//! The documents for people: what they link to, name and repeat is there, and the same everywhere.

mod commands;
mod links;
mod readmes;

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

use wxkf_gateway::wecom::Errcode;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    read_to_string(root().join(path)).unwrap()
}

/// Every Markdown file of the repository, by its path from the root.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(root(), &mut found);
    let named = |path: PathBuf| (path.strip_prefix(root()).unwrap().to_owned(), read_to_string(&path).unwrap());
    let documents: Vec<_> = found.into_iter().map(named).collect();
    assert!(documents.len() > 10, "{} documents", documents.len());
    documents
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match path.extension() {
            _ if path.is_dir() && matches!(name, "target" | ".git" | "node_modules") => {}
            _ if path.is_dir() => collect(&path, found),
            Some(extension) if extension == "md" => found.push(path),
            _ => {}
        }
    }
}

/// A part of a document.
#[derive(Debug, Clone, Copy)]
enum Line<'t> {
    Text(&'t str),
    /// Between fences: the block's language, and the line without the fences' indent.
    Code(&'t str, &'t str),
    /// The end of a block.
    End,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut fence: Option<(&str, usize)> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start();
        match (fence, bare.strip_prefix("```")) {
            (None, Some(language)) => fence = Some((language, line.len() - bare.len())),
            (Some(_), Some(_)) => {
                fence = None;
                lines.push(Line::End);
            }
            (None, None) => lines.push(Line::Text(line)),
            (Some((language, indent)), None) => lines.push(Line::Code(language, line.get(indent..).unwrap_or(bare))),
        }
    }
    assert!(fence.is_none(), "a block of code does not end");
    lines
}

#[test]
fn every_errcode_with_an_advice_is_documented() {
    let codes = (-1..100_000).chain([301_002, 2_000_002]).map(Errcode);
    let rows: String =
        codes.filter_map(|code| code.advice().map(|advice| format!("| {code} | {advice} |\n"))).collect();
    let table = format!("| errcode | what it means: what to do |\n|---|---|\n{rows}");
    crate::harness::stands_in("docs/troubleshooting.md", "errcodes", &table);
}

#[test]
fn the_index_names_every_page() {
    let index = read("docs/README.md");
    for (path, _) in documents() {
        let in_docs = path.parent() == Some(Path::new("docs")) && path != Path::new("docs/README.md");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(!in_docs || index.contains(&format!("]({name})")), "docs/README.md does not name {name}");
    }
}
