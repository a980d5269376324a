//! Who may import whom. The table is the one of `src/lib.rs`; a new arrow is a decision, made here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each module with those it may use. Arrows point down: a module stands below all that use it.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "access_token",
            "app",
            "callback",
            "config",
            "dispatcher",
            "domain",
            "egress",
            "lifecycle",
            "openapi",
            "router",
            "server",
            "services",
            "simulator",
            "store",
            "telemetry",
            "wecom",
        ],
    ),
    ("simulator", &["callback", "domain", "egress", "lifecycle", "services"]),
    ("server", &["http", "lifecycle"]),
    (
        "router",
        &[
            "access_token",
            "admin",
            "app",
            "callback",
            "console",
            "domain",
            "http",
            "manager",
            "observe",
            "openapi",
            "proxy",
        ],
    ),
    ("openapi", &["http", "services"]),
    (
        "app",
        &[
            "access_token",
            "admin",
            "callback",
            "config",
            "dispatcher",
            "domain",
            "egress",
            "http",
            "lifecycle",
            "live",
            "manager",
            "observe",
            "proxy",
            "services",
            "store",
            "telemetry",
            "wecom",
        ],
    ),
    ("console", &["admin", "callback", "domain", "http", "live", "store"]),
    ("admin", &["access_token", "callback", "dispatcher", "domain", "http", "services", "store"]),
    ("manager", &["access_token", "dispatcher", "domain", "egress", "http", "store", "wecom"]),
    ("proxy", &["access_token", "domain", "egress", "http", "lifecycle", "live", "observe", "wecom"]),
    ("callback", &["dispatcher", "domain", "http", "lifecycle", "live", "observe", "services", "store"]),
    ("services", &["dispatcher", "domain", "egress", "lifecycle", "live", "observe", "store"]),
    ("dispatcher", &["domain", "egress", "lifecycle", "live", "observe", "store"]),
    ("access_token", &["domain", "http", "lifecycle", "observe", "store", "wecom"]),
    ("http", &["domain", "lifecycle", "observe", "store", "telemetry"]),
    ("telemetry", &["config", "domain", "egress", "lifecycle", "observe"]),
    ("config", &["domain", "egress"]),
    ("wecom", &["domain", "egress", "observe", "store"]),
    ("store", &["domain", "lifecycle"]),
    ("egress", &["domain"]),
    ("live", &["domain"]),
    ("lifecycle", &[]),
    ("domain", &[]),
    ("observe", &[]),
];

/// Only these may know that the outside speaks HTTP to us through axum.
const MAY_NAME_AXUM: &[&str] = &["admin", "app", "cli", "console", "http", "openapi", "router", "server", "simulator"];

fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file without its tests, which may use more.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let tests = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    text[..tests].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_only(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name == "tests.rs" || name.ends_with("_tests.rs") || name == "testkit.rs" || name == "fake.rs"
}

fn used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for char in group.chars() {
                match char {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && (char.is_alphanumeric() || char == '_') {
                    name.push(char);
                } else if depth == 0 && char == ',' {
                    name.clear();
                } else if depth == 0 && char == ':' && !name.is_empty() {
                    used.insert(std::mem::take(&mut name));
                }
                if depth == 0 && !name.is_empty() {
                    used.insert(name.clone());
                }
            }
        } else {
            used.insert(rest.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect());
        }
    }
    used
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for path in sources().iter().filter(|path| !is_test_only(path)) {
        let module = module_of(path);
        if module == "lib" || module == "main" {
            continue;
        }
        let allowed = table.get(module.as_str()).unwrap_or_else(|| panic!("{module} is not in the table"));
        for name in used(&code(path)) {
            if name != module && table.contains_key(name.as_str()) && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not in the table:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_circle_and_nothing_unused() {
    let mut below = BTreeSet::new();
    for (module, uses) in MAY_USE.iter().rev() {
        for name in *uses {
            assert!(below.contains(name), "{module} uses {name}, which stands above it");
        }
        below.insert(*module);
    }
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources() {
        // Tests count here, so that an arrow they alone need may stand.
        let text = std::fs::read_to_string(&path).unwrap();
        arrows.entry(module_of(&path)).or_default().extend(used(&text));
    }
    for (module, uses) in MAY_USE {
        for name in *uses {
            assert!(arrows[*module].contains(*name), "{module} does not use {name} any more: drop the arrow");
        }
    }
}

#[test]
fn services_do_not_know_axum() {
    for path in sources().iter().filter(|path| !is_test_only(path)) {
        let file = path.file_name().unwrap();
        let may = MAY_NAME_AXUM.contains(&module_of(path).as_str()) || file == "routes.rs";
        assert!(may || !code(path).contains("axum::"), "{} names axum", path.display());
    }
}
