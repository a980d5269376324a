//! Just enough of `multipart/form-data` (RFC 7578) to read the one file of `media/upload`.
//! The web framework's reader is asynchronous and sits in front of the handlers; the rules here are
//! plain functions over bytes.

use bytes::Bytes;

pub(super) struct Part {
    pub file_name: String,
    pub content_type: String,
    pub content: Bytes,
}

/// The part named `media`, if it has a file name.
pub(super) fn file(content_type: &str, body: &Bytes) -> Option<Part> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let mut from = find(body, delimiter.as_bytes(), 0)? + delimiter.len();
    loop {
        let head_ends = find(body, b"\r\n\r\n", from)?;
        let ends = find(body, format!("\r\n{delimiter}").as_bytes(), head_ends + 2)?;
        let head = String::from_utf8_lossy(&body[from..head_ends]).into_owned();
        let content = body.slice((head_ends + 4).min(ends)..ends);
        if parameter(&head, "name").as_deref() == Some("media") {
            let file_name = parameter(&head, "filename").filter(|name| !name.is_empty())?;
            let kind = header(&head, "content-type").unwrap_or_else(|| "application/octet-stream".to_owned());
            return Some(Part { file_name, content_type: kind, content });
        }
        from = ends + 2 + delimiter.len();
    }
}

fn find(body: &[u8], part: &[u8], from: usize) -> Option<usize> {
    body.get(from..)?.windows(part.len()).position(|window| window == part).map(|at| from + at)
}

fn header(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find(|line| line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name)))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn parameter(head: &str, name: &str) -> Option<String> {
    let disposition = header(head, "content-disposition")?;
    let value = disposition.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: &str = "multipart/form-data; boundary=acebdf13572468";

    #[test]
    fn reads_the_documented_example() {
        // Document 96484, with a line end inside of the file.
        let body = "--acebdf13572468\r\nContent-Disposition: form-data; name=\"media\";filename=\"wework.txt\"; \
            filelength=6\r\nContent-Type: application/octet-stream\r\n\r\nmy\r\ntext\r\n--acebdf13572468--\r\n";
        let part = file(KIND, &Bytes::from(body)).unwrap();
        assert_eq!(part.file_name, "wework.txt");
        assert_eq!(part.content_type, "application/octet-stream");
        assert_eq!(part.content, "my\r\ntext");
    }

    #[test]
    fn skips_other_fields_and_wants_a_file_name() {
        let body = "--acebdf13572468\r\ncontent-disposition: form-data; name=other\r\n\r\nx\r\n--acebdf13572468\r\n\
            Content-Disposition: form-data; name=\"media\"\r\n\r\ncontent\r\n--acebdf13572468--";
        assert!(file(KIND, &Bytes::from(body)).is_none());
        let named = body.replace("name=\"media\"", "name=\"media\"; filename=\"a\"");
        assert_eq!(file(KIND, &Bytes::from(named)).unwrap().content, "content");
    }

    proptest! {
        #[test]
        fn survives_any_body(body: Vec<u8>) {
            let mut framed = b"--acebdf13572468\r\n".to_vec();
            framed.extend(body);
            framed.extend(b"\r\n\r\n\r\n--acebdf13572468");
            let _ = file(KIND, &Bytes::from(framed));
        }
    }
}
