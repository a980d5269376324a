//! A whole callback: query, outer XML, signature, decryption. What is not signed must never open; the
//! same bytes, sealed by us, must open to themselves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wxkf_gateway::callback::credentials::open;
use wxkf_gateway::callback::envelope::{Envelope, Message};
use wxkf_gateway::callback::query::SignedQuery;
use wxkf_gateway::callback::crypto;
use wxkf_gateway::domain::{CorpId, EncodingAesKey, Pair, Secret};
use wxkf_gateway::store::CorpKeys;

const TOKEN: &str = "QDG6eK";
const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

fuzz_target!(|data: &[u8]| {
    let corp = CorpId::parse("ww1").expect("a corp id");
    let key = EncodingAesKey::parse(KEY).expect("a key");
    let credentials = vec![Pair::new(Secret::new(TOKEN), key.clone()).into()];
    let keys = CorpKeys { corp, is_declared: true, credentials, services: Vec::new() };

    // As it came: the first line is the query.
    let at = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    if let Ok(query) = std::str::from_utf8(&data[..at])
        && let Ok(query) = SignedQuery::parse(query)
        && let Ok(envelope) = Envelope::parse(data.get(at + 1..).unwrap_or_default())
    {
        assert!(open(&keys, &query, &envelope.encrypted).is_err(), "nobody can sign without the token");
    }

    // Sealed by somebody who knows the token.
    let encrypted = crypto::encrypt(key.key(), &[7; 16], data, "ww1");
    let signature = crypto::signature(TOKEN, "1", "2", &encrypted);
    let query = format!("msg_signature={}&timestamp=1&nonce=2", String::from_utf8_lossy(&signature));
    let query = SignedQuery::parse(&query).expect("a whole query");
    let body = format!("<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>");
    let envelope = Envelope::parse(body.as_bytes()).expect("an envelope");
    let (opened, _) = open(&keys, &query, &envelope.encrypted).expect("it was sealed for this corp");
    assert_eq!(&opened.message[..], data);
    let _ = Message::parse(&opened.message);
});
