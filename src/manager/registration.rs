//! The fields of a registration, checked: every wrong one is named at once.

use serde_json::{Map, Value};

use crate::domain::{CorpId, EncodingAesKey, Endpoint, Invalid, OpenKfId, Pair, Secret};

/// A registration whose fields are in order.
#[derive(Debug)]
pub struct Registration {
    pub kf_id: OpenKfId,
    pub name: String,
    pub endpoint: Endpoint,
    pub corp_id: CorpId,
    pub corp_secret: Secret,
    pub pair: Pair,
}

impl Registration {
    /// Reads `{kfId,kfName,endpoint,corpId,corpSecret,token,encodingAESKey}`; the error names every wrong field.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, String> {
        let mut reader = FieldReader { fields, faults: Vec::new() };
        let kf_id = reader.parsed("kfId", OpenKfId::parse);
        let name = reader.parsed("kfName", name);
        let endpoint = reader.parsed("endpoint", Endpoint::spelled_out);
        let corp_id = reader.parsed("corpId", CorpId::parse);
        let corp_secret = reader.parsed("corpSecret", secret);
        let token = reader.parsed("token", secret);
        let aes_key = reader.parsed("encodingAESKey", EncodingAesKey::parse);
        match (kf_id, name, endpoint, corp_id, corp_secret, token, aes_key) {
            (Some(kf_id), Some(name), Some(endpoint), Some(corp_id), Some(corp_secret), Some(token), Some(aes_key)) => {
                Ok(Self { kf_id, name, endpoint, corp_id, corp_secret, pair: Pair::new(token, aes_key) })
            }
            _ => Err(reader.faults.join("; ")),
        }
    }
}

/// Reads `{kfId,corpId}` of a deregistration; the error names every wrong field.
pub fn read_deregistration(fields: &Map<String, Value>) -> Result<(OpenKfId, CorpId), String> {
    let mut reader = FieldReader { fields, faults: Vec::new() };
    let kf_id = reader.parsed("kfId", OpenKfId::parse);
    let corp_id = reader.parsed("corpId", CorpId::parse);
    kf_id.zip(corp_id).ok_or_else(|| reader.faults.join("; "))
}

struct FieldReader<'f> {
    fields: &'f Map<String, Value>,
    faults: Vec<String>,
}

impl FieldReader<'_> {
    fn parsed<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, Invalid>) -> Option<T> {
        let fault = match self.fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => match parse(text) {
                Ok(value) => return Some(value),
                Err(error) => format!("{name} {error}"),
            },
            Some(Value::String(_) | Value::Null) | None => format!("{name} is required"),
            Some(_) => format!("{name} must be a string"),
        };
        self.faults.push(fault);
        None
    }
}

fn name(text: &str) -> Result<String, Invalid> {
    if text.len() > 1024 { Err(Invalid("must be at most 1024 bytes")) } else { Ok(text.to_owned()) }
}

fn secret(text: &str) -> Result<Secret, Invalid> {
    if text.len() > 512 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Invalid("must be at most 512 visible ASCII characters, as WeCom shows it"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_every_wrong_field() {
        let fields = json!({"kfId": "wk 1", "kfName": 7, "endpoint": "ftp://x", "corpId": "", "token": null});
        let message = Registration::read(fields.as_object().unwrap()).unwrap_err();
        for name in ["kfId", "kfName", "endpoint", "corpId", "corpSecret", "token", "encodingAESKey"] {
            assert!(message.contains(name), "{name}: {message}");
        }
    }

    #[test]
    fn endpoints_have_no_userinfo_query_or_fragment() {
        for wrong in ["http://u@h", "http://h?q", "http://h#f", "h:80", "http://", "javascript:alert(1)"] {
            assert!(Endpoint::spelled_out(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Endpoint::parse("http://h:8080/bot//").unwrap().as_str(), "http://h:8080/bot");
    }

    proptest! {
        #[test]
        fn survives_any_text(text: String) {
            let fields: Map<String, Value> = ["kfId", "kfName", "endpoint", "corpId", "corpSecret", "token", "encodingAESKey"]
                .into_iter().map(|name| (name.to_owned(), text.as_str().into())).collect();
            let _ = Registration::read(&fields);
        }
    }
}
