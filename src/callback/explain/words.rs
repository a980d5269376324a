//! The words for each cause: what is wrong, and what to do. They name corp ids, which are no secret;
//! never a token, a key or a message.

use super::cause::{BodyFault, Cause, Flaw, ParameterFault, Place, Receiver, TextFault, Whom};

impl Cause {
    /// What is wrong about it.
    pub fn what(&self) -> String {
        match self {
            Self::Parameter(name, fault) => fault.what(name),
            Self::HtmlEscaped => "the URL has `&amp;` in place of `&`: it was copied out of an HTML page".into(),
            Self::OfficialAccount => {
                "the URL has `signature`, where WeCom sends `msg_signature`: an official account called, not WeCom"
                    .into()
            }
            Self::NoEchostr => "the URL has no `echostr`, so it is no verification, and no body came with it".into(),
            Self::UrlOfAVerification => {
                "the URL is that of a verification: its signature is right for its `echostr`, not for the body".into()
            }
            Self::OtherPath(corp) => format!("the callback is genuine, but the path of the URL names the corp {corp}"),
            Self::Text(place, fault) => fault.what(*place),
            Self::Body(fault) => fault.what().into(),
            Self::NoCredential => "no token of this corp is known".into(),
            Self::TokenFlaw(flaw) => format!("the token {}", flaw.what()),
            Self::TokenWrong => "the AES key opens the text, but the signature was made with another token".into(),
            Self::BothWrong => {
                "neither the token nor the AES key fits: both are another app's, or were changed in the console".into()
            }
            Self::DeclaredElsewhere(corp) => {
                format!("the token that fits is declared for the corp {corp}, not this one")
            }
            Self::AesKeyFlaw(flaw) => format!("the AES key {}", flaw.what()),
            Self::AesKeyWrong => "the token is right, but this AES key does not open the text".into(),
            Self::Swapped => {
                "the token stands in the place of the AES key, and the AES key in that of the token".into()
            }
            Self::PairsMixed => "the token is that of one credential, and the AES key that of another".into(),
            Self::ReceiveId(receiver) => receiver.what(),
            Self::AnotherCorps(corp) => format!("the callback is one of the corp {corp}: its token made the signature"),
            Self::AddressedTo(corp) => {
                format!("the body is addressed to {corp}, and neither token nor AES key fits it")
            }
            Self::UnknownCorp => "nobody declared this corp, and no bot of it ever registered".into(),
        }
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Parameter(_, fault) => fault.remedy().into(),
            Self::HtmlEscaped => "copy it from the log of the proxy, or write `&` for each `&amp;`".into(),
            Self::OfficialAccount => {
                "enter the URL in WeCom's console (企业微信), not in an official account's (公众号)".into()
            }
            Self::NoEchostr => {
                "for a message give its body too; for a verification copy the URL to its end, and have proxies pass \
                 the query on whole"
                    .into()
            }
            Self::UrlOfAVerification => "take the URL to which this very body was posted".into(),
            Self::OtherPath(_) => {
                "enter this corp's own callback URL, /callback/ and its corp id, in its console".into()
            }
            Self::Text(place, fault) => fault.remedy(*place).into(),
            Self::Body(fault) => fault.remedy().into(),
            Self::NoCredential => {
                "declare the corp with token and AES key (CORPS_FILE, or PUT /api/admin/corps/{corpId}), or let a bot \
                 of it register"
                    .into()
            }
            Self::TokenFlaw(_) => "give the token alone, as the console shows it: letters and digits".into(),
            Self::TokenWrong => {
                "copy Token from the console again, and press save there; if it is right, the URL was changed on its \
                 way, or is that of another callback than the body"
                    .into()
            }
            Self::BothWrong => {
                "copy Token and EncodingAESKey again, both from the page of the app whose callback URL this is, and \
                 press save there"
                    .into()
            }
            Self::DeclaredElsewhere(_) => "declare that token and AES key for this corp".into(),
            Self::AesKeyFlaw(_) => {
                "give EncodingAESKey as the console shows it: 43 letters and digits, nothing around them".into()
            }
            Self::AesKeyWrong => {
                "copy EncodingAESKey from the console again, and press save there: a random one counts only once saved"
                    .into()
            }
            Self::Swapped => "exchange them: EncodingAESKey is the one with 43 characters".into(),
            Self::PairsMixed => "put Token and EncodingAESKey of the same app into one credential".into(),
            Self::ReceiveId(receiver) => receiver.remedy(),
            Self::AnotherCorps(corp) | Self::AddressedTo(corp) => {
                format!("enter the URL /callback/{corp} in the console of {corp}, or correct the corp id here")
            }
            Self::UnknownCorp => {
                "check the corp id in the URL that was entered in the console (case counts), or declare the corp \
                 (CORPS_FILE, or PUT /api/admin/corps/{corpId})"
                    .into()
            }
        }
    }
}

impl ParameterFault {
    fn what(self, name: &str) -> String {
        match self {
            Self::Missing => format!("the URL has no `{name}`"),
            Self::Repeated => format!("the URL has `{name}` more than once"),
            Self::EncodedTwice => format!("`{name}` is percent-encoded twice"),
            Self::DecodedTwice => format!("`{name}` was percent-decoded once too often"),
            Self::PlusBecameSpace => format!("a `+` of `{name}` became a space"),
            Self::Padded => format!("`{name}` has spaces or quotes around it"),
            Self::Uppercase => format!("`{name}` is in upper case; WeCom's is in lower case, and case counts"),
            Self::Cut => format!("`{name}` is cut: some of its 40 characters are missing"),
            Self::Malformed if name == "timestamp" => "`timestamp` is no time of WeCom's: those have 10 digits".into(),
            Self::Malformed => format!("`{name}` is no signature: those have 40 characters of 0-9 and a-f"),
            Self::Altered => format!("`{name}` was changed: the signature is right for one that differs a little"),
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Missing => {
                "give the whole URL, in quotes, as `&` ends a shell's command; have proxies pass the query on whole"
            }
            Self::Repeated => {
                "take WeCom's parameters out of the URL in the console, as WeCom adds its own; see which proxy adds \
                 the query again"
            }
            Self::EncodedTwice | Self::DecodedTwice | Self::PlusBecameSpace => {
                "have proxies pass the query on as it came, neither decoded nor encoded again"
            }
            Self::Padded | Self::Uppercase | Self::Cut | Self::Malformed | Self::Altered => {
                "take the URL as WeCom called it, from the log of the first proxy; see what rewrites it on its way"
            }
        }
    }
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Echostr => "`echostr` of the URL",
            Self::Encrypt => "`Encrypt` of the body",
        }
    }
}

impl TextFault {
    fn what(self, place: Place) -> String {
        let name = place.name();
        match self {
            Self::PlusBecameSpace => format!("each `+` in {name} became a space"),
            Self::EncodedTwice => format!("{name} is percent-encoded once too often"),
            Self::Respelled => {
                format!("{name} is in another spelling than WeCom's: line breaks, escapes, url-safe base64")
            }
            Self::Cut => format!("{name} is cut: its length is none that an encrypted text can have"),
            Self::Altered => format!("{name} was changed or cut on its way"),
            Self::SealedWrongly => format!("the signature is right, but {name} is nothing that WeCom encrypts"),
        }
    }

    fn remedy(self, place: Place) -> &'static str {
        match (self, place) {
            (Self::PlusBecameSpace, Place::Echostr) => {
                "have proxies pass the query on as it came (`%2B` stays `%2B`); the gateway reads these spaces as \
                 `+`, other programs fail"
            }
            (Self::EncodedTwice, Place::Echostr) => {
                "have proxies pass the query on as it came, neither decoded nor encoded again"
            }
            (Self::SealedWrongly, _) => "find out who else has the token and calls this URL, such as a test program",
            (Self::Cut | Self::Altered | Self::Respelled, Place::Echostr) => {
                "copy the URL to its end, from the log of the first proxy; see what limits or rewrites URLs on its way"
            }
            (_, Place::Encrypt) => {
                "have proxies pass the body on as it came, byte for byte, and without a limit below 1 MiB"
            }
        }
    }
}

impl BodyFault {
    fn what(self) -> &'static str {
        match self {
            Self::Empty => "the body is empty",
            Self::Json => "the body is JSON, and this callback's is XML",
            Self::Escaped => "the body's XML is escaped for HTML (`&lt;xml&gt;`)",
            Self::Dtd => "the body has a document type (DTD), which WeCom never sends",
            Self::Cut => "the body is cut: it ends before its XML does",
            Self::NotXml => "the body is not XML",
            Self::InTheClear => "the body is not encrypted: it holds the message itself, and no `Encrypt`",
            Self::NoEncrypt => "the body has no `Encrypt` directly below its root",
            Self::TooLarge => "the body is larger than 1 MiB",
            Self::BrokeOff => "the body broke off before its end, or took too long",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "see which proxy drops the body: a redirect does, and WeCom follows none",
            Self::Json => {
                "take `callback_format=json` out of the URL in the console; see that no proxy converts the body"
            }
            Self::InTheClear => {
                "post WeCom's own body here; what another gateway decrypted belongs to /callback/decrypted/{corpId}"
            }
            Self::Dtd | Self::NoEncrypt | Self::TooLarge => "see who calls this URL: WeCom does not send such bodies",
            Self::Escaped | Self::Cut | Self::NotXml | Self::BrokeOff => {
                "have proxies pass the body on as it came, byte for byte, and without a limit below 1 MiB"
            }
        }
    }
}

impl Flaw {
    fn what(self) -> String {
        match self {
            Self::Empty => "is empty".into(),
            Self::Spaces => "has spaces or a line break around it or in it".into(),
            Self::Quotes => "has quotes around it".into(),
            Self::Equals => "has a `=` at its end, which EncodingAESKey has not".into(),
            Self::Length(length) => format!("has {length} characters, and EncodingAESKey has 43"),
            Self::Characters => "has characters that EncodingAESKey never has".into(),
        }
    }
}

impl Receiver {
    fn what(&self) -> String {
        let expected = &self.expected;
        let whom = match &self.whom {
            Whom::Nobody => "nobody, as for an app of an individual provider".into(),
            Whom::OtherCase(id) => format!("{id}: the same letters in another case"),
            Whom::Suite(id) => format!("{id}, which is a suite"),
            Whom::Neighbour(id) => format!("{id}, another corp that is known here"),
            Whom::Other(id) => id.to_string(),
            Whom::Unreadable => "something that is no corp id".into(),
        };
        format!("token and AES key are right, but the text is not for {expected}; it was encrypted for {whom}")
    }

    fn remedy(&self) -> String {
        let Self { whom, expected } = self;
        match whom {
            Whom::Nobody => r#"give the credential "receiveIds": [""]"#.into(),
            Whom::OtherCase(id) => {
                format!("write the corp id as WeCom does, {id}, in the callback URL too: case counts")
            }
            Whom::Suite(id) => format!(r#"give the credential "receiveIds": ["{id}", "{expected}"]"#),
            Whom::Neighbour(id) => format!("enter the URL /callback/{id} in the console of {id}"),
            Whom::Other(id) => format!(
                "if {id} is your corp, use it for {expected}, in the callback URL too; if it is a suite or the provider, \
                 add it to the credential's receiveIds"
            ),
            Whom::Unreadable => "see who calls this URL: WeCom encrypts for corp ids and suite ids".into(),
        }
    }
}
