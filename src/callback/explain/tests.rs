//! Set-ups that are wrong in one way each, made from genuine callbacks that others published.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::{EncodingAesKey, Pair, Secret};

const CORP: &str = "wx5823bf96d3bd56c7";
const TOKEN: &str = "QDG6eK";
const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
const OTHER_KEY: &str = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt";

/// A callback and what an administrator gave to check it.
#[derive(Clone)]
struct Setup {
    corp: String,
    token: String,
    key: String,
    url: String,
    body: Option<Vec<u8>>,
    receive_ids: Vec<String>,
    neighbours: Vec<Neighbour>,
    effort: Effort,
}

impl Setup {
    /// Of Tencent's own sample: the verification of a URL.
    fn verification() -> Self {
        Self::of(&vector("published", "tencent-verify-url"), None)
    }

    /// Of Tencent's own sample: a message.
    fn message() -> Self {
        let vector = vector("published", "tencent-xml-message");
        Self::of(&vector, Some(vector["post_body"].as_str().unwrap()))
    }

    fn of(vector: &Value, body: Option<&str>) -> Self {
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        let echostr = vector["echostr"].as_str().or(vector["encrypt"].as_str()).filter(|_| body.is_none());
        let echostr = echostr.map(|text| format!("&echostr={}", encoded(text))).unwrap_or_default();
        let url = format!(
            "https://wecom.example.com/callback/{}?msg_signature={}&timestamp={}&nonce={}{echostr}",
            text("receive_id"),
            text("msg_signature"),
            text("timestamp"),
            encoded(&text("nonce")),
        );
        Self {
            corp: text("receive_id"),
            token: text("token"),
            key: text("encoding_aes_key"),
            url,
            body: body.map(Into::into),
            receive_ids: Vec::new(),
            neighbours: Vec::new(),
            effort: Effort::Small,
        }
    }

    /// Sealed and signed here.
    fn sealed(receive_id: &str, message: &[u8]) -> Self {
        let key = EncodingAesKey::parse(KEY).unwrap();
        Self::signed(&crypto::encrypt(key.key(), b"0123456789abcdef", message, receive_id))
    }

    fn signed(encrypted: &str) -> Self {
        let signature = crypto::signature(TOKEN, "1700000000", "1372623149", encrypted);
        let url =
            format!("msg_signature={}&timestamp=1700000000&nonce=1372623149", String::from_utf8_lossy(&signature));
        Self { url, ..Self::message() }.with_body(&format!("<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"))
    }

    fn thorough(self) -> Self {
        Self { effort: Effort::Thorough, ..self }
    }

    fn with_token(self, token: &str) -> Self {
        Self { token: token.into(), ..self }
    }

    fn with_key(self, key: &str) -> Self {
        Self { key: key.into(), ..self }
    }

    fn with_corp(self, corp: &str) -> Self {
        Self { corp: corp.into(), ..self }
    }

    fn with_body(self, body: &str) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    fn without_body(self) -> Self {
        Self { body: None, ..self }
    }

    /// The URL with one piece replaced.
    fn url(self, from: &str, to: &str) -> Self {
        assert!(self.url.contains(from), "{from} in {}", self.url);
        Self { url: self.url.replacen(from, to, 1), ..self }
    }

    fn every(self, from: &str, to: &str) -> Self {
        assert!(self.url.contains(from), "{from} in {}", self.url);
        Self { url: self.url.replace(from, to), ..self }
    }

    fn body(self, from: &str, to: &str) -> Self {
        let body = String::from_utf8(self.body.clone().unwrap()).unwrap();
        assert!(body.contains(from), "{from} in {body}");
        self.with_body(&body.replace(from, to))
    }

    fn beside(mut self, corp: &str, token: &str, key: &str) -> Self {
        let credential = CallbackCredential::from(Pair::new(Secret::new(token), EncodingAesKey::parse(key).unwrap()));
        self.neighbours.push(Neighbour { corp: CorpId::parse(corp).unwrap(), credentials: vec![credential] });
        self
    }

    fn verdict(&self) -> Result<(), Cause> {
        self.verdict_with(&[(&self.token, &self.key)])
    }

    fn verdict_with(&self, pairs: &[(&str, &str)]) -> Result<(), Cause> {
        let typed = |&(token, aes_key)| Typed { token, aes_key, receive_ids: &self.receive_ids };
        let credentials: Vec<_> = pairs.iter().map(typed).collect();
        let corp = CorpId::parse(&self.corp).unwrap();
        let (url, body, neighbours) = (&*self.url, self.body.as_deref(), &self.neighbours[..]);
        explain(&Case { corp: &corp, url, body, credentials: &credentials, neighbours, effort: self.effort })
    }
}

fn vector(file: &str, id: &str) -> Value {
    let vectors = vectors(file);
    vectors.into_iter().find(|vector| vector["id"] == id).unwrap()
}

fn vectors(file: &str) -> Vec<Value> {
    let text = match file {
        "published" => include_str!("../../../tests/vectors/published.json"),
        _ => include_str!("../../../tests/vectors/made.json"),
    };
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn id(text: &str) -> CorpId {
    CorpId::parse(text).unwrap()
}

fn receiver(whom: Whom, expected: &str) -> Cause {
    Cause::ReceiveId(Receiver { whom, expected: id(expected) })
}

const SIGNATURE: &str = "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3";

fn wrong_urls() -> Vec<(&'static str, Setup, Cause)> {
    use ParameterFault::*;
    let get = Setup::verification;
    let echostr = |fault| Cause::Text(Place::Echostr, fault);
    let parameter = |name, fault| Cause::Parameter(name, fault);
    let created = Setup::sealed(CORP, b"<xml><CreateTime>1699999997</CreateTime></xml>");
    vec![
        ("the query is missing", get().with_url_up_to("?"), parameter("msg_signature", Missing)),
        ("an unquoted & in the shell", get().with_url_up_to("&timestamp"), parameter("timestamp", Missing)),
        ("truncated in a name", get().with_url_up_to("once="), parameter("nonce", Missing)),
        ("no echostr and no body", get().with_url_up_to("&echostr"), Cause::NoEchostr),
        (
            "a parameter without a value",
            get().url("timestamp=1409659589", "timestamp="),
            parameter("timestamp", Missing),
        ),
        ("repeated", get().url("&nonce", "&nonce=1&nonce"), parameter("nonce", Repeated)),
        ("escaped for HTML", get().every("&", "&amp;"), Cause::HtmlEscaped),
        ("of an official account", get().url("msg_signature", "signature"), Cause::OfficialAccount),
        ("plus became a space", get().every("%2B", "+"), echostr(TextFault::PlusBecameSpace)),
        ("plus became %20", get().every("%2B", "%20"), echostr(TextFault::PlusBecameSpace)),
        ("encoded twice", get().every("%", "%25"), echostr(TextFault::EncodedTwice)),
        ("encoded thrice", get().every("%", "%2525"), echostr(TextFault::EncodedTwice)),
        ("url-safe base64", get().every("%2B", "-").every("%2F", "_"), echostr(TextFault::Respelled)),
        ("padding lost", get().every("%3D", ""), echostr(TextFault::Respelled)),
        ("wrapped lines", get().url("xho", "xho%0A"), echostr(TextFault::Respelled)),
        ("echostr cut", get().with_url_up_to("ZXvnaqQ"), echostr(TextFault::Cut)),
        ("echostr cut between blocks", get().with_url_up_to("tp%2B4RPcs"), echostr(TextFault::Cut)),
        ("echostr altered", get().url("OaBO", "OaB0"), echostr(TextFault::Altered)),
        (
            "signature in upper case",
            get().url(SIGNATURE, &SIGNATURE.to_uppercase()),
            parameter("msg_signature", Uppercase),
        ),
        ("signature cut", get().url(SIGNATURE, &SIGNATURE[..30]), parameter("msg_signature", Cut)),
        ("signature mistyped", get().url("5c45ff", "5c54ff"), parameter("msg_signature", Altered)),
        ("signature of another kind", get().url(SIGNATURE, "XMM8mr"), parameter("msg_signature", Malformed)),
        ("signature with a space", get().url(SIGNATURE, &format!("{SIGNATURE}+")), parameter("msg_signature", Padded)),
        (
            "signature in quotes",
            get().url(SIGNATURE, &format!("%22{SIGNATURE}%22")),
            parameter("msg_signature", Padded),
        ),
        ("timestamp set anew", get().url("1409659589", "1409659652"), parameter("timestamp", Altered)),
        ("timestamp in milliseconds", get().url("1409659589", "1409659589000"), parameter("timestamp", Altered)),
        ("timestamp mistyped", get().url("1409659589", "1409559589"), parameter("timestamp", Altered)),
        ("timestamp as a date", get().url("1409659589", "2014-09-02"), parameter("timestamp", Malformed)),
        ("timestamp too short", get().url("1409659589", "14096"), parameter("timestamp", Malformed)),
        ("timestamp hours off", get().url("1409659589", "1409652389").thorough(), parameter("timestamp", Altered)),
        ("timestamp years off the message's", created.url("1700000000", "1823456789"), parameter("timestamp", Altered)),
        ("nonce mistyped", get().url("263014780", "263014788"), parameter("nonce", Altered)),
        ("nonce encoded twice", get().url("263014780", "%2532%2536%2533014780"), parameter("nonce", EncodedTwice)),
        ("to another corp's path", get().url(CORP, "ww-other"), Cause::OtherPath(id("ww-other"))),
    ]
}

impl Setup {
    fn with_url_up_to(self, end: &str) -> Self {
        let at = self.url.find(end).unwrap();
        Self { url: self.url[..at].to_owned(), ..self }
    }
}

fn wrong_secrets() -> Vec<(&'static str, Setup, Cause)> {
    let (get, post) = (Setup::verification, Setup::message);
    let suite = Setup::sealed("dk1234", b"<xml><InfoType>suite_ticket</InfoType></xml>");
    let named = Setup::sealed("ww77", b"<xml><SuiteId><![CDATA[ww77]]></SuiteId></xml>");
    let (spaces, quotes) = (Flaw::Spaces, Flaw::Quotes);
    vec![
        ("wrong token", get().with_token("QDG6eL"), Cause::TokenWrong),
        ("wrong token of a message", post().with_token("tokenOfAnotherApp"), Cause::TokenWrong),
        ("token in lower case", get().with_token("qdg6ek"), Cause::TokenWrong),
        ("token with a newline", get().with_token("QDG6eK\n"), Cause::TokenFlaw(spaces)),
        ("token with a space before it", post().with_token(" QDG6eK"), Cause::TokenFlaw(spaces)),
        ("token in quotes", post().with_token("\"QDG6eK\""), Cause::TokenFlaw(quotes)),
        ("wrong token in quotes", post().with_token("'wrong'"), Cause::TokenFlaw(quotes)),
        ("wrong AES key", get().with_key(OTHER_KEY), Cause::AesKeyWrong),
        ("wrong AES key of a message", post().with_key(OTHER_KEY), Cause::AesKeyWrong),
        ("AES key with =", get().with_key(&format!("{KEY}=")), Cause::AesKeyFlaw(Flaw::Equals)),
        ("AES key too short", get().with_key(&KEY[1..]), Cause::AesKeyFlaw(Flaw::Length(42))),
        ("AES key with a stranger", get().with_key(&KEY.replace('q', "-")), Cause::AesKeyFlaw(Flaw::Characters)),
        ("AES key with a newline", get().with_key(&format!("{KEY}\n")), Cause::AesKeyFlaw(spaces)),
        ("AES key in quotes", get().with_key(&format!("'{KEY}'")), Cause::AesKeyFlaw(quotes)),
        ("swapped", get().with_key(TOKEN).with_token(KEY), Cause::Swapped),
        ("both of another app", get().with_token("other").with_key(OTHER_KEY), Cause::BothWrong),
        ("wrong corp id", post().with_corp("ww-mine"), receiver(Whom::Other(id(CORP)), "ww-mine")),
        (
            "corp id in another case",
            post().with_corp("WX5823bf96d3bd56c7"),
            receiver(Whom::OtherCase(id(CORP)), "WX5823bf96d3bd56c7"),
        ),
        ("a suite's, by its id", suite, receiver(Whom::Suite(id("dk1234")), CORP)),
        ("a suite's, by its message", named, receiver(Whom::Suite(id("ww77")), CORP)),
        ("an individual provider's", Setup::sealed("", b"<xml/>"), receiver(Whom::Nobody, CORP)),
        ("for no id", Setup::sealed("a b", b"<xml/>"), receiver(Whom::Unreadable, CORP)),
        (
            "of a neighbour",
            post().with_corp("ww-mine").with_token("mine").with_key(OTHER_KEY).beside(CORP, TOKEN, KEY),
            Cause::AnotherCorps(id(CORP)),
        ),
        (
            "declared for a neighbour",
            post().with_token("mine").with_key(OTHER_KEY).beside("ww-b", TOKEN, KEY),
            Cause::DeclaredElsewhere(id("ww-b")),
        ),
        (
            "addressed to another",
            post().with_corp("ww-mine").with_token("mine").with_key(OTHER_KEY),
            Cause::AddressedTo(id(CORP)),
        ),
    ]
}

fn wrong_bodies() -> Vec<(&'static str, Setup, Cause)> {
    let post = Setup::message;
    let encrypt = |fault| Cause::Text(Place::Encrypt, fault);
    let cut = |length: usize| {
        let body = post().body.unwrap();
        post().with_body(std::str::from_utf8(&body[..length]).unwrap())
    };
    let inner = vector("published", "tencent-xml-message")["plaintext"].as_str().unwrap().to_owned();
    let verification_url = Setup { body: post().body, ..Setup::verification() };
    let key = *EncodingAesKey::parse(KEY).unwrap().key();
    let chinese = crypto::encrypt(&key, b"0123456789abcdef", "你好，这是一条消息，这是一条消息".as_bytes(), CORP);
    vec![
        ("empty", post().with_body(" \r\n"), Cause::Body(BodyFault::Empty)),
        ("JSON", post().with_body("{\"encrypt\":\"x\"}"), Cause::Body(BodyFault::Json)),
        ("a form", post().with_body("a=b"), Cause::Body(BodyFault::NotXml)),
        ("escaped", post().with_body("&lt;xml&gt;&lt;/xml&gt;"), Cause::Body(BodyFault::Escaped)),
        ("a DTD", post().body("<xml>", "<!DOCTYPE xml><xml>"), Cause::Body(BodyFault::Dtd)),
        ("cut", cut(200), Cause::Body(BodyFault::Cut)),
        ("cut after Encrypt", cut(post().body.unwrap().len() - 3), Cause::Body(BodyFault::Cut)),
        ("in the clear", post().with_body(&inner), Cause::Body(BodyFault::InTheClear)),
        ("without Encrypt", post().body("Encrypt>", "Crypt>"), Cause::Body(BodyFault::NoEncrypt)),
        ("plus became a space", post().body("+", " "), encrypt(TextFault::PlusBecameSpace)),
        ("percent-encoded", post().body("/", "%2F").body("<%2F", "</"), encrypt(TextFault::EncodedTwice)),
        ("wrapped lines", post().body("EB4J", "EB4J\n"), encrypt(TextFault::Respelled)),
        ("escaped slashes", post().body("/wvq", "\\/wvq"), encrypt(TextFault::Respelled)),
        ("Encrypt cut", post().body("R07+qN+E7Q==", ""), encrypt(TextFault::Cut)),
        ("Encrypt altered", post().body("EB4J58", "EB4J59"), encrypt(TextFault::Altered)),
        ("Encrypt altered at its end", post().body("+E7Q==", "+E8Q=="), encrypt(TextFault::Altered)),
        ("text altered in Chinese", Setup::signed(&chinese).with_altered_text(&chinese), encrypt(TextFault::Altered)),
        ("a verification's URL", verification_url, Cause::UrlOfAVerification),
        ("signed nonsense", Setup::signed("!"), encrypt(TextFault::SealedWrongly)),
        ("signed half a block", Setup::signed("AAAA"), encrypt(TextFault::SealedWrongly)),
    ]
}

impl Setup {
    fn with_altered_text(self, text: &str) -> Self {
        let at = text.len() / 2;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        let altered = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        self.body(text, &altered)
    }
}

#[test]
fn each_wrong_set_up_is_told_by_its_cause() {
    let tables = [("url", wrong_urls()), ("secret", wrong_secrets()), ("body", wrong_bodies())];
    let (mut seen, mut told_otherwise) = (0, Vec::new());
    for (table, rows) in tables {
        for (name, setup, cause) in rows {
            let verdict = setup.verdict();
            if verdict != Err(cause) {
                told_otherwise.push(format!("{table}: {name}: {verdict:?}"));
            }
            seen += 1;
        }
    }
    assert!(told_otherwise.is_empty(), "{told_otherwise:#?}");
    assert!(seen >= 70, "{seen}");
}

#[test]
fn hostile_vectors_are_told_too() {
    for vector in vectors("made").iter().filter(|vector| vector["kind"] == "synthetic_negative") {
        let wrong = Setup::of(vector, None).with_corp(CORP).verdict().map_err(|cause| cause.wrong());
        let expected = match vector["id"].as_str().unwrap() {
            "neg_wrong_receive_id" => Input::CorpId,
            _ => Input::Url,
        };
        assert_eq!(wrong, Err(expected), "{}", vector["id"]);
    }
}

#[test]
fn genuine_vectors_are_fine() {
    let genuine = |vector: &Value| vector["kind"] != "synthetic_negative" && vector["msg_signature"].is_string();
    let mut seen = 0;
    for vector in vectors("published").iter().chain(&vectors("made")).filter(|vector| genuine(vector)) {
        let mut setup = Setup::of(vector, None);
        if setup.corp.is_empty() {
            setup = setup.with_corp("ww-individual");
            setup.receive_ids = vec![String::new()];
        }
        assert_eq!(setup.verdict(), Ok(()), "{}", vector["id"]);
        let body = format!(
            "<xml><Encrypt>{}</Encrypt></xml>",
            vector["encrypt"].as_str().or(vector["echostr"].as_str()).unwrap()
        );
        assert_eq!(Setup { body: Some(body.into_bytes()), ..setup }.verdict(), Ok(()), "{}", vector["id"]);
        seen += 1;
    }
    assert_eq!(seen, 17, "every one with a signature");
}

#[test]
fn one_of_several_credentials_is_enough_and_mixed_ones_are_told() {
    let (get, post) = (Setup::verification(), Setup::message());
    assert_eq!(get.verdict_with(&[("other", OTHER_KEY), (TOKEN, KEY)]), Ok(()));
    assert_eq!(post.verdict_with(&[("other", KEY), (TOKEN, OTHER_KEY)]), Err(Cause::PairsMixed));
    assert_eq!(post.verdict_with(&[]), Err(Cause::NoCredential));
    let neighbour = post.clone().with_corp("ww-b").beside(CORP, TOKEN, KEY);
    assert_eq!(neighbour.verdict_with(&[]), Err(Cause::AnotherCorps(id(CORP))));
    assert_eq!(neighbour.verdict(), Err(receiver(Whom::Neighbour(id(CORP)), "ww-b")));
}

#[test]
fn the_url_may_be_whole_or_its_query_alone() {
    let get = Setup::verification();
    let query = get.url.split_once('?').unwrap().1.to_owned();
    for url in
        [query.clone(), format!("/callback/{CORP}/?{query}"), format!(" {}\n", get.url), format!("{}#x", get.url)]
    {
        assert_eq!(Setup { url: url.clone(), ..get.clone() }.verdict(), Ok(()), "{url}");
    }
    let own = format!("https://x/any/path?corpid=$CORPID$&{query}&more=1");
    assert_eq!(Setup { url: own, ..get }.verdict(), Ok(()));
}

#[test]
fn words_hold_no_secret_and_say_something() {
    for (name, setup, cause) in wrong_urls().into_iter().chain(wrong_secrets()).chain(wrong_bodies()) {
        for words in [cause.what(), cause.remedy()] {
            assert!(words.len() > 15 && !words.ends_with('.'), "{name}: {words}");
            for secret in [&setup.token, &setup.key] {
                assert!(secret.len() < 6 || !words.contains(secret.as_str()), "{name}: {words}");
            }
        }
        assert!(!format!("{cause:?}").contains(KEY));
    }
}

proptest! {
    #[test]
    fn survives_anything(url: String, body: Option<Vec<u8>>, token: String, key: String) {
        let corp = id("ww1");
        let credentials = [Typed { token: &token, aes_key: &key, receive_ids: &[] }, Typed { token: TOKEN, aes_key: KEY, receive_ids: &[] }];
        let case = Case { corp: &corp, url: &url, body: body.as_deref(), credentials: &credentials, neighbours: &[], effort: Effort::Small };
        prop_assert!(explain(&case).is_err());
        let parsed = explain(&Case { credentials: &credentials[1..], ..case });
        prop_assert!(parsed.is_err());
    }

    #[test]
    fn survives_any_value_of_a_parameter(values: [String; 4], body in "(<xml>|<Encrypt>|</Encrypt>|</xml>|[A-Za-z0-9+/=% ]{0,80}|\\PC){0,6}", post: bool) {
        let [signature, timestamp, nonce, echostr] = values.map(|value| encoded(&value));
        let url = format!("?msg_signature={signature}&timestamp={timestamp}&nonce={nonce}&echostr={echostr}");
        let setup = Setup { url, ..Setup::verification() };
        let setup = if post { setup.with_body(&body) } else { setup.without_body() };
        prop_assert!(setup.verdict().is_err());
    }

    #[test]
    fn what_is_genuine_is_fine(message: Vec<u8>, random: [u8; 16], timestamp in "[0-9]{1,12}", nonce in "\\PC{1,12}", post: bool) {
        let key = EncodingAesKey::parse(KEY).unwrap();
        let encrypted = crypto::encrypt(key.key(), &random, &message, CORP);
        let signature = crypto::signature(TOKEN, &timestamp, &nonce, &encrypted);
        let url = format!("msg_signature={}&timestamp={timestamp}&nonce={}", String::from_utf8_lossy(&signature), encoded(&nonce));
        let setup = if post {
            Setup { url, ..Setup::message() }.with_body(&format!("<xml><Encrypt>{encrypted}</Encrypt></xml>"))
        } else {
            Setup { url: format!("{url}&echostr={}", encoded(&encrypted)), ..Setup::verification() }
        };
        prop_assert_eq!(setup.verdict(), Ok(()));
    }
}
