//! Parts of documents that are written from the code.

use std::path::Path;

/// What stands between the marks of a document must be this; with `UPDATE_DOCS` it is written there.
pub(crate) fn stands_in(path: &str, mark: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, rest) = text.split_once(&begin).expect("its beginning is marked");
    let (found, tail) = rest.split_once(&end).expect("its end is marked");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, format!("{head}{begin}{generated}{end}{tail}")).unwrap();
        return;
    }
    assert!(found == generated, "{path} is outdated: UPDATE_DOCS=1 cargo test --test it documented");
}
