//! The console in English and Chinese: one catalogue a language, one struct for both, so that the compiler
//! finds a text that lacks.
//!
//! What the gateway says elsewhere in English alone (faults of a field, why an attempt failed) is told in
//! Chinese where it is known (`said.rs`), and as it is where it is not: a text in the wrong language is
//! better than none.

mod actions;
mod causes;
mod en;
mod said;
mod words;
mod zh;

use axum::http::{HeaderMap, header};

use super::shell::{self, LANGUAGE};

pub use words::Words;

/// A language of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

/// How texts from elsewhere are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    AsItIs,
    Translated,
}

impl Language {
    /// The one that was chosen here, else the first that the browser asks for and we have.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = shell::cookies(headers, LANGUAGE).find_map(Self::parse);
        let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        chosen.or_else(|| asked.and_then(Self::asked)).unwrap_or_default()
    }

    /// Reads [`Language::tag`].
    pub(super) fn parse(tag: &str) -> Option<Self> {
        [Self::English, Self::Chinese].into_iter().find(|language| language.tag() == tag)
    }

    /// `Accept-Language`, by preference.
    fn asked(list: &str) -> Option<Self> {
        let choice = |item: &str| {
            let (tag, quality) = item.split_once(";q=").unwrap_or((item, "1"));
            let language = match tag.trim().to_ascii_lowercase() {
                tag if tag == "zh" || tag.starts_with("zh-") => Self::Chinese,
                tag if tag == "en" || tag.starts_with("en-") => Self::English,
                _ => return None,
            };
            let quality = quality.trim().parse::<f32>().ok()?;
            (quality > 0.0).then_some((quality, language))
        };
        // Of equal ones the first stays.
        let better = |best: (f32, Self), other: (f32, Self)| if other.0 > best.0 { other } else { best };
        list.split(',').filter_map(choice).reduce(better).map(|(_, language)| language)
    }

    /// For `lang`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// In its own words.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::English => Self::Chinese,
            Self::Chinese => Self::English,
        }
    }

    pub fn words(self) -> &'static Words {
        match self {
            Self::English => &en::ENGLISH,
            Self::Chinese => &zh::CHINESE,
        }
    }
}

impl Words {
    /// A text of the gateway's that comes in English.
    pub fn say(&self, text: &str) -> String {
        match self.speech {
            Speech::AsItIs => text.to_owned(),
            Speech::Translated => said::in_chinese(text),
        }
    }

    /// Of distances in time, for the script that counts on.
    pub fn patterns(&self) -> String {
        self.ago.iter().chain(&self.ahead).copied().collect::<Vec<_>>().join("|")
    }
}

/// What a call did, as the page after it tells. It goes by the page's query, so it is a word of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    CorpAdded,
    CorpRemoved,
    CredentialAdded,
    CredentialRemoved,
    ProxySet,
    ServiceSaved,
    ServiceRemoved,
    Redelivered,
    DeliveryDeleted,
    BotRemoved,
    TokenRenewed,
}

impl Done {
    const ALL: [Self; 11] = [
        Self::CorpAdded,
        Self::CorpRemoved,
        Self::CredentialAdded,
        Self::CredentialRemoved,
        Self::ProxySet,
        Self::ServiceSaved,
        Self::ServiceRemoved,
        Self::Redelivered,
        Self::DeliveryDeleted,
        Self::BotRemoved,
        Self::TokenRenewed,
    ];

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::CorpAdded => "corp-added",
            Self::CorpRemoved => "corp-removed",
            Self::CredentialAdded => "credential-added",
            Self::CredentialRemoved => "credential-removed",
            Self::ProxySet => "proxy-set",
            Self::ServiceSaved => "service-saved",
            Self::ServiceRemoved => "service-removed",
            Self::Redelivered => "redelivered",
            Self::DeliveryDeleted => "delivery-deleted",
            Self::BotRemoved => "bot-removed",
            Self::TokenRenewed => "token-renewed",
        }
    }

    pub(super) fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|done| done.code() == code)
    }

    pub(super) fn words(self, t: &Words) -> &'static str {
        match self {
            Self::CorpAdded => t.done_corp_added,
            Self::CorpRemoved => t.done_corp_removed,
            Self::CredentialAdded => t.done_credential_added,
            Self::CredentialRemoved => t.done_credential_removed,
            Self::ProxySet => t.done_proxy,
            Self::ServiceSaved => t.done_service_saved,
            Self::ServiceRemoved => t.done_service_removed,
            Self::Redelivered => t.done_redelivered,
            Self::DeliveryDeleted => t.done_delivery_deleted,
            Self::BotRemoved => t.done_bot_removed,
            Self::TokenRenewed => t.done_token_renewed,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_browser_is_spoken_to_in_its_language_until_somebody_chooses() {
        let asked = |list| Language::asked(list);
        assert_eq!(asked("zh-CN,zh;q=0.9,en;q=0.8"), Some(Language::Chinese));
        assert_eq!(asked("de, en-GB;q=0.7, zh;q=0.8"), Some(Language::Chinese));
        assert_eq!(asked("en,zh"), Some(Language::English));
        assert_eq!(asked("zh;q=0, fr"), None);
        let mut headers = HeaderMap::new();
        assert_eq!(Language::of(&headers), Language::English);
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("zh-TW"));
        assert_eq!(Language::of(&headers), Language::Chinese);
        headers.insert(header::COOKIE, HeaderValue::from_static("wxkf_language=en"));
        assert_eq!(Language::of(&headers), Language::English);
    }

    #[test]
    fn what_was_done_comes_back_as_it_was_sent() {
        for done in Done::ALL {
            assert_eq!(Done::parse(done.code()), Some(done));
        }
        assert_eq!(Done::parse("<script>"), None);
    }
}
