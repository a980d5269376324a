//! The subset of XML that WeCom speaks: the text of the root's direct children, by name.
//!
//! Only direct children count, because some events nest another `OpenKfId` deeper. Document types
//! and entities other than the five of XML itself are refused: nothing is ever expanded or loaded.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Why bytes are no document that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlFault {
    #[error("not well-formed XML")]
    NotXml,
    #[error("a document type (DTD), which WeCom never sends")]
    Dtd,
}

/// The asked-for children of a document's root.
#[derive(Debug)]
pub struct Document<'x, const N: usize> {
    /// In the order of the names asked for; the first of repeated elements wins.
    pub texts: [Option<Cow<'x, str>>; N],
    /// Nothing in it that the stricter parser of an unmodified bot could choke on: the root is
    /// `xml`, names are simple, no attributes, no processing instructions.
    pub plain: bool,
}

/// Reads the texts of the root's direct children with these names.
pub fn read<'x, const N: usize>(bytes: &'x [u8], names: [&str; N]) -> Result<Document<'x, N>, XmlFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| XmlFault::NotXml)?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut walk = Walk { names, depth: 0, current: None, roots: 0, texts: [const { None }; N], plain: true };
    loop {
        match reader.read_event().map_err(|_| XmlFault::NotXml)? {
            Event::Start(start) => walk.open(&start)?,
            Event::Empty(start) => {
                walk.open(&start)?;
                walk.close();
            }
            Event::End(_) => walk.close(),
            Event::Text(text) => walk.text(text.into_inner())?,
            Event::CData(text) if walk.depth > 0 => walk.text(text.into_inner())?,
            Event::GeneralRef(reference) => walk.text(resolve(&reference)?)?,
            Event::DocType(_) => return Err(XmlFault::Dtd),
            Event::PI(_) => walk.plain = false,
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof if walk.depth == 0 && walk.roots == 1 => {
                return Ok(Document { texts: walk.texts, plain: walk.plain });
            }
            Event::CData(_) | Event::Eof => return Err(XmlFault::NotXml),
        }
    }
}

fn resolve<'x>(reference: &BytesRef<'_>) -> Result<Cow<'x, str>, XmlFault> {
    if let Some(char) = reference.resolve_char_ref().map_err(|_| XmlFault::NotXml)? {
        return Ok(Cow::Owned(char.into()));
    }
    resolve_xml_entity(reference).map(Cow::Borrowed).ok_or(XmlFault::NotXml)
}

struct Walk<'x, 'n, const N: usize> {
    names: [&'n str; N],
    depth: usize,
    /// The asked-for child we are in.
    current: Option<usize>,
    roots: usize,
    texts: [Option<Cow<'x, str>>; N],
    plain: bool,
}

impl<'x, const N: usize> Walk<'x, '_, N> {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), XmlFault> {
        let qualified = start.name();
        let name = qualified.as_ref();
        let simple = name.bytes().all(|byte| byte.is_ascii_alphabetic());
        self.plain &= simple && !name.is_empty() && start.attributes_raw().trim().is_empty();
        self.depth += 1;
        if self.depth == 1 {
            self.roots += 1;
            self.plain &= name == "xml";
            if self.roots > 1 {
                return Err(XmlFault::NotXml);
            }
        }
        if self.depth == 2 {
            self.current = self.names.iter().position(|asked| *asked == name);
            match self.current {
                Some(index) if self.texts[index].is_none() => self.texts[index] = Some(Cow::Borrowed("")),
                // A repeated element: the first one counts.
                _ => self.current = None,
            }
        } else if self.depth == 3 && self.current.is_some() {
            // Text was expected: a bot would see an object here.
            self.plain = false;
        }
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        if self.depth == 1 {
            self.current = None;
        }
    }

    fn text(&mut self, piece: Cow<'x, str>) -> Result<(), XmlFault> {
        match self.current {
            Some(index) if self.depth == 2 => {
                let text = self.texts[index].get_or_insert_default();
                if text.is_empty() {
                    *text = piece;
                } else {
                    text.to_mut().push_str(&piece);
                }
                Ok(())
            }
            _ if self.depth > 0 || piece.trim().is_empty() => Ok(()),
            _ => Err(XmlFault::NotXml),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(xml: &str) -> Result<(Option<String>, Option<String>, bool), XmlFault> {
        let document = read(xml.as_bytes(), ["A", "B"])?;
        let [a, b] = document.texts;
        Ok((a.map(Cow::into_owned), b.map(Cow::into_owned), document.plain))
    }

    #[test]
    fn reads_direct_children_and_the_first_of_repeated_ones() {
        let xml = "\u{feff}<?xml version=\"1.0\"?><xml><N><A>deep</A></N><A> <![CDATA[x<y]]>&amp;&#65;</A><A>2</A><B/></xml>\r\n";
        assert_eq!(texts(xml), Ok((Some(" x<y&A".into()), Some(String::new()), true)));
    }

    #[test]
    fn tells_what_a_stricter_parser_could_choke_on() {
        for xml in
            ["<xml><A b='1'>x</A></xml>", "<x><A>x</A></x>", "<xml><?p?><A>x</A></xml>", "<xml><A><C/>x</A></xml>"]
        {
            assert!(!texts(xml).unwrap().2, "{xml}");
        }
    }

    #[test]
    fn refuses_what_is_no_document() {
        let wrong =
            ["", "x", "<xml>", "<xml></x>", "<xml/><xml/>", "<xml>&e;</xml>", "<xml/>x", "{}", "<xml><A>&</A></xml>"];
        for xml in wrong {
            assert_eq!(texts(xml), Err(XmlFault::NotXml), "{xml}");
        }
        let bomb = "<!DOCTYPE x [<!ENTITY e \"e\">]><xml>&e;</xml>";
        assert_eq!(texts(bomb), Err(XmlFault::Dtd));
        assert_eq!(read(b"<xml>\xff</xml>", ["A"]).unwrap_err(), XmlFault::NotXml);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes: Vec<u8>) {
            let _ = read(&bytes, ["A", "B"]);
        }

        #[test]
        fn survives_any_markup(xml in "(<xml>|</xml>|<A>|</A>|<B/>|<!\\[CDATA\\[|\\]\\]>|&amp;|&#x0;|<!--|-->|<\\?|\\?>|<!DOCTYPE|x| ){0,24}") {
            let _ = read(xml.as_bytes(), ["A", "B"]);
        }
    }
}
