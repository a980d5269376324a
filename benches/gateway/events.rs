//! Callbacks as WeCom would send them, each of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use wxkf_gateway::callback::crypto;
use wxkf_gateway::domain::{Clock, EncodingAesKey};

/// The first corp.
pub const CORP: &str = "wwbenchmark0000";
pub const SECRET: &str = "the-secret-of-the-benchmarks-app";
pub const ACCESS_TOKEN: &str = "the-access-token-of-the-benchmark-is-as-long-as-those-of-wecom-are-which-have-two-hundred-and-fourteen-\
characters-0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
pub const TOKEN: &str = "QDG6eK";
pub const AES_KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

pub fn account(index: usize) -> String {
    format!("wkBenchmark{index:08}")
}

pub fn corp(index: usize) -> String {
    format!("wwbenchmark{index:04}")
}

/// The corp of this account, where accounts are spread over so many.
pub fn corp_of(account: usize, corps: usize) -> String {
    corp(account % corps)
}

/// What the service of this number in its corp takes.
pub fn service_event(index: usize) -> String {
    format!("benchmark_{index}")
}

/// What callbacks tell of.
#[derive(Clone, Copy)]
pub enum News {
    /// So many accounts in turn, spread over so many corps.
    Accounts { accounts: usize, corps: usize },
    /// The services of all corps in turn.
    Services { corps: usize, each: usize },
}

impl News {
    /// Of one corp.
    pub fn accounts(accounts: usize) -> Self {
        Self::Accounts { accounts, corps: 1 }
    }

    /// Callbacks until everybody was told of once.
    pub fn turn(self) -> usize {
        match self {
            Self::Accounts { accounts, .. } => accounts,
            Self::Services { corps, each } => corps * each,
        }
    }
}

/// A callback, encrypted as WeCom does it.
pub struct Callback {
    pub corp: String,
    pub query: String,
    pub body: String,
}

/// The next callback: nothing is told twice.
pub fn next(news: News, key: &EncodingAesKey, clock: &Clock) -> Callback {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = usize::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or_default();
    let at = number % news.turn();
    let (corp, event) = match news {
        News::Accounts { corps, .. } => (corp_of(at, corps), "kf_msg_or_event".to_owned()),
        News::Services { corps, .. } => (corp(at % corps), service_event(at / corps)),
    };
    let message = format!(
        "<xml><ToUserName><![CDATA[{corp}]]></ToUserName><CreateTime>{}</CreateTime><MsgType><![CDATA[event]]></MsgType>\
         <Event><![CDATA[{event}]]></Event><Token><![CDATA[ENC{number:030}]]></Token>\
         <OpenKfId><![CDATA[{}]]></OpenKfId></xml>",
        clock.now().as_second(),
        account(at),
    );
    let encrypted = crypto::encrypt(key.key(), b"0123456789abcdef", message.as_bytes(), &corp);
    let (timestamp, nonce) = (clock.now().as_second().to_string(), number.to_string());
    let signature = crypto::signature(TOKEN, &timestamp, &nonce, &encrypted);
    let signature = String::from_utf8_lossy(&signature);
    let query = format!("msg_signature={signature}&timestamp={timestamp}&nonce={nonce}");
    let body =
        format!("<xml><ToUserName><![CDATA[{corp}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>");
    Callback { corp, query, body }
}
