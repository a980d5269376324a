//! The console as a browser meets it: who is let in, what each page shows, what each form does.

mod actions;
mod browser;
mod live;
mod pages;
mod signing_in;

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use crate::harness::{ADMIN_TOKEN, Gateway};

/// A browser: keeps the session, follows relative redirects, says whose page a form was on.
struct Browser {
    http: Client,
    console: Url,
    session: Option<String>,
    language: &'static str,
}

/// A page as it was shown.
struct Page {
    status: StatusCode,
    url: Url,
    headers: HeaderMap,
    text: String,
}

impl Browser {
    /// At the gateway, not signed in.
    fn new(gateway: &Gateway) -> Self {
        wxkf_gateway::egress::install_tls_provider();
        #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let console = Url::parse(&format!("{}/console", gateway.url())).unwrap();
        Self { http, console, session: None, language: "en" }
    }

    /// At the gateway, signed in.
    async fn signed_in(gateway: &Gateway) -> Self {
        let mut browser = Self::new(gateway);
        let answer = browser.send("/sign-in", &[("token", ADMIN_TOKEN)]).await;
        browser.session = session(answer.headers());
        assert!(browser.session.is_some());
        browser
    }

    /// Below the console.
    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.console)).unwrap()
    }

    fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url).header("accept-language", self.language);
        match &self.session {
            Some(session) => request.header("cookie", session),
            None => request,
        }
    }

    fn origin(&self) -> String {
        self.console.origin().ascii_serialization()
    }

    /// What a form sends, without what follows.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.request(reqwest::Method::POST, self.url(path)).header("origin", self.origin());
        request.form(fields).send().await.unwrap()
    }

    /// What a form leads to.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let answer = self.send(path, fields).await;
        self.follow(answer).await
    }

    async fn get(&self, path: &str) -> Page {
        let answer = self.request(reqwest::Method::GET, self.url(path)).send().await.unwrap();
        self.follow(answer).await
    }

    async fn follow(&self, mut answer: Response) -> Page {
        while answer.status() == StatusCode::SEE_OTHER {
            let location = answer.headers()[LOCATION].to_str().unwrap();
            assert!(!location.starts_with('/') && !location.contains("://"), "{location} knows no path prefix");
            let url = answer.url().join(location).unwrap();
            answer = self.request(reqwest::Method::GET, url).send().await.unwrap();
        }
        let (status, url, headers) = (answer.status(), answer.url().clone(), answer.headers().clone());
        Page { status, url, headers, text: answer.text().await.unwrap() }
    }
}

impl Page {
    /// Whether it is there and holds this text.
    fn shows(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    #[track_caller]
    fn assert_shows(&self, text: &str) {
        assert!(self.shows(text), "{} ({}) does not show {text}:\n{}", self.url, self.status, self.text);
    }

    /// The first value of a hidden field.
    fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let rest = self.text.split(&mark).nth(1).unwrap_or_else(|| panic!("no field {name}:\n{}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }
}

/// The session that an answer sets, as `Cookie` has it.
fn session(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let mut sessions = cookies.filter(|cookie| cookie.starts_with("wxkf_console="));
    sessions.next().map(|cookie| cookie.split(';').next().unwrap().to_owned())
}
