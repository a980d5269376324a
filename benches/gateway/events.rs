//! Callbacks as WeCom would send them, each of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use wxkf_gateway::callback::crypto;
use wxkf_gateway::domain::{Clock, EncodingAesKey};

use crate::ACCOUNTS;

pub const CORP: &str = "wwbenchmark";
pub const SECRET: &str = "the-secret-of-the-benchmarks-app";
pub const ACCESS_TOKEN: &str = "the-access-token-of-the-benchmark-is-as-long-as-those-of-wecom-are-which-have-two-hundred-and-fourteen-\
characters-0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
pub const TOKEN: &str = "QDG6eK";
pub const AES_KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

pub fn account(index: usize) -> String {
    format!("wkBenchmark{index:08}")
}

/// Query and body of the next callback: accounts in turn, every sync token used once.
pub fn next(key: &EncodingAesKey, clock: &Clock) -> (String, String) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let account = account(usize::try_from(number).unwrap_or_default() % ACCOUNTS);
    let message = format!(
        "<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><CreateTime>{}</CreateTime><MsgType><![CDATA[event]]></MsgType>\
         <Event><![CDATA[kf_msg_or_event]]></Event><Token><![CDATA[ENC{number:030}]]></Token>\
         <OpenKfId><![CDATA[{account}]]></OpenKfId></xml>",
        clock.now().as_second(),
    );
    let encrypted = crypto::encrypt(key.key(), b"0123456789abcdef", message.as_bytes(), CORP);
    let (timestamp, nonce) = (clock.now().as_second().to_string(), number.to_string());
    let signature = crypto::signature(TOKEN, &timestamp, &nonce, &encrypted);
    let signature = String::from_utf8_lossy(&signature);
    let query = format!("msg_signature={signature}&timestamp={timestamp}&nonce={nonce}");
    let body =
        format!("<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>");
    (query, body)
}
