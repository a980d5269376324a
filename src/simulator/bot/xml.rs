//! XML as the puppet's reader (xml2js) sees it: children of the root by name, the first of each.

use quick_xml::Reader;
use quick_xml::events::Event;

/// The text of each child of the root, in order; `None`: no XML.
pub(super) fn children(xml: &[u8]) -> Option<Vec<(String, String)>> {
    let mut reader = Reader::from_str(std::str::from_utf8(xml).ok()?);
    let (mut depth, mut found, mut seen_root) = (0_usize, Vec::new(), false);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                seen_root = true;
                depth += 1;
                if depth == 2 {
                    found.push((element.name().as_ref().to_owned(), String::new()));
                }
            }
            Event::Empty(element) if depth == 1 => {
                found.push((element.name().as_ref().to_owned(), String::new()));
            }
            Event::Empty(_) => seen_root = true,
            Event::End(_) => depth = depth.checked_sub(1)?,
            Event::CData(text) if depth == 2 => append(&mut found, &text),
            Event::Text(text) if depth == 2 => append(&mut found, &text),
            Event::Eof => return (seen_root && depth == 0).then_some(found),
            _ => {}
        }
    }
}

fn append(found: &mut [(String, String)], text: &str) {
    if let Some((_, whole)) = found.last_mut() {
        whole.push_str(text);
    }
}

/// The first child of that name.
pub(super) fn first<'a>(children: &'a [(String, String)], name: &str) -> Option<&'a str> {
    children.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_direct_children_only() {
        let xml = b"<xml><A><![CDATA[a]]></A><B> <C>c</C></B><A>second</A><D/></xml>\r\n";
        let children = children(xml).unwrap();
        assert_eq!(first(&children, "A"), Some("a"));
        assert_eq!(first(&children, "C"), None);
        assert_eq!(first(&children, "D"), Some(""));
    }

    #[test]
    fn knows_what_is_no_xml() {
        for text in ["", "{}", "hello", "<xml>", "<xml></yml>"] {
            assert_eq!(children(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes: Vec<u8>) {
            let _ = children(&bytes);
        }
    }
}
