//! Tells what happens, one hop a line, in words for somebody who sees it for the first time.

use std::time::Duration;

use anstyle::Style;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::egress;
use crate::simulator::Entry;
use crate::simulator::bot::BotHappening;
use crate::simulator::wecom::{Api, Attempt, Happening, Verification};

use super::super::report::{self, BOLD, CYAN, DIM, GREEN, RED};
use super::news::{News, Told};
use super::sum::Sum;
use super::{ACCOUNT, CORP, CUSTOMER, Stage};

/// Time and hop take 29 columns: with these, a line fits the narrowest usual terminal.
const TEXT_WIDTH: usize = 50;
/// For the journals to be told to their end.
const CATCH_UP: Duration = Duration::from_millis(100);

/// What the milliseconds count from, and how far the plot is.
struct Scene {
    began: Timestamp,
    messages: usize,
}

pub(super) struct Narrator<'a> {
    stage: &'a Stage,
    news: tokio::sync::Mutex<News>,
    scene: Mutex<Scene>,
}

impl<'a> Narrator<'a> {
    pub fn new(stage: &'a Stage) -> Self {
        let news = News::follow(&stage.wecom, &stage.bot);
        let began = news.began().unwrap_or_else(|| stage.wecom.clock().now());
        Self { stage, news: tokio::sync::Mutex::new(news), scene: Mutex::new(Scene { began, messages: 0 }) }
    }

    /// Who plays, and what to look at meanwhile.
    pub async fn introduce(&self) {
        let Stage { wecom, gateway, bot } = self.stage;
        report::data(format_args!("{BOLD}The gateway, with a little world around it, all on this machine{BOLD:#}\n"));
        report::data(format_args!("  WeCom    {CYAN}{}{CYAN:#}  simulated", wecom.base_url()));
        report::data(format_args!("  gateway  {CYAN}{}{CYAN:#}  the real one", gateway.base_url()));
        report::data(format_args!(
            "  bot      {CYAN}http://{}{CYAN:#}  works for the account {ACCOUNT}",
            bot.address()
        ));
        report::data(format_args!("  data     {}", gateway.directory().display()));
        let links = self.links().await;
        report::data("\nTo look at meanwhile:");
        for link in links {
            report::data(format_args!("  {link}"));
        }
        report::data(format_args!(
            "\n{BOLD}First{BOLD:#} {DIM}the bot registers and WeCom verifies the gateway{DIM:#}"
        ));
    }

    /// Those of the gateway's pages that it has.
    async fn links(&self) -> Vec<String> {
        let base = self.stage.gateway.base_url();
        let token = self.stage.gateway.admin_token();
        let wecom = self.stage.wecom.base_url();
        let mut links = vec![format!("{CYAN}{wecom}/{CYAN:#}  write as a customer, watch each hop, break things")];
        let pages = [("/console", format!("sign in with {token}")), ("/docs", "every route, to try out".to_owned())];
        if let Ok(http) = egress::client(Duration::from_secs(1)) {
            for (path, words) in pages {
                let answer = http.get(format!("{base}{path}")).send().await;
                if answer.is_ok_and(|answer| !answer.status().is_client_error()) {
                    links.push(format!("{CYAN}{base}{path}{CYAN:#}  {words}"));
                }
            }
        }
        links.push(format!("{CYAN}{base}/openapi.json{CYAN:#}  every route, described"));
        links.push(format!("{CYAN}{base}/metrics{CYAN:#}  its counters"));
        links.push(format!("curl -H 'Authorization: Bearer {token}' \\\n    {CYAN}{base}/api/admin/puppets{CYAN:#}"));
        links
    }

    /// Tells everything, until it is dropped.
    pub async fn tell(&self) {
        let mut news = self.news.lock().await;
        loop {
            for told in news.next_batch().await {
                match told {
                    Told::Wecom(entry) => self.tell_of_wecom(&entry),
                    Told::Bot(entry) => self.tell_of_bot(&entry),
                }
            }
        }
    }

    /// Waits until what has happened is told.
    pub async fn caught_up(&self) {
        tokio::time::sleep(CATCH_UP).await;
    }

    fn tell_of_wecom(&self, entry: &Entry<Happening>) {
        match &entry.what {
            Happening::CustomerWrote { customer, text, .. } => {
                let mut scene = self.scene.lock();
                *scene = Scene { began: entry.at, messages: scene.messages + 1 };
                report::data(format_args!("\n{BOLD}Message {}{BOLD:#}", scene.messages));
                drop(scene);
                self.hop(entry.at, customer, "WeCom", &format!("“{text}”"));
                self.hop(entry.at, "WeCom", "gateway", "the account has news (encrypted, without text)");
            }
            Happening::CustomerAnswered { customer, text, .. } => {
                let took = self.since(entry.at);
                self.hop(entry.at, "bot", "WeCom", "send_msg: the answer");
                self.hop(entry.at, "WeCom", customer, &format!("{GREEN}“{text}”{GREEN:#}"));
                report::data(format_args!("{:29}{BOLD}answered after {took} ms{BOLD:#}", ""));
            }
            Happening::ApiCalled { api, errcode, .. } if api == Api::GetToken.path() => {
                let number = self.stage.wecom.calls(Api::GetToken);
                let text = format!("gettoken: call {number}, {}", outcome(*errcode));
                self.hop(entry.at, "gateway", "WeCom", &text);
            }
            Happening::ApiCalled { api, errcode, .. } if api == Api::AccountList.path() => {
                self.hop(entry.at, "gateway", "WeCom", &format!("is {ACCOUNT} the bot's? {}", outcome(*errcode)));
            }
            Happening::CallbackSent { repeat, outcome, .. } => self.tell_of_callback(entry, *repeat, outcome),
            Happening::UrlVerified { outcome, .. } => {
                let text = match outcome {
                    Verification::Passed => {
                        format!("the callback URL is verified, in {} ms", entry.took_ms)
                    }
                    other => format!("the callback URL was not verified: {other:?}"),
                };
                self.hop(entry.at, "WeCom", "gateway", &text);
            }
            Happening::CustomerEntered { customer, .. } => {
                self.hop(entry.at, customer, "WeCom", "opens the conversation");
            }
            Happening::Scripted { what } => self.hop(entry.at, "you", "WeCom", what),
            // The bot's own calls are told by the bot.
            Happening::ApiCalled { .. } => {}
        }
    }

    fn tell_of_callback(&self, entry: &Entry<Happening>, repeat: usize, outcome: &Attempt) {
        let took_ms = entry.took_ms;
        let again = if repeat > 0 { format!(" (repeat {repeat})") } else { String::new() };
        match outcome {
            Attempt::Accepted => {
                self.hop(
                    entry.at,
                    "gateway",
                    "WeCom",
                    &format!("“success” after {took_ms} ms: delivered or stored{again}"),
                );
            }
            failed => {
                self.hop(entry.at, "gateway", "WeCom", &format!("{RED}{failed:?}{RED:#}, so it is sent again{again}"))
            }
        }
    }

    fn tell_of_bot(&self, entry: &Entry<BotHappening>) {
        match &entry.what {
            BotHappening::Registered => {
                self.hop(entry.at, "bot", "gateway", &format!("registers for {ACCOUNT} of {CORP}: accepted"))
            }
            BotHappening::TokenFetched { expires_in, .. } => {
                let calls = self.stage.wecom.calls(Api::GetToken);
                let calls = if calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") };
                let text = format!("the shared token, {expires_in} s left ({calls} to WeCom)");
                self.hop(entry.at, "gateway", "bot", &text);
            }
            BotHappening::Dispatched { poke: Some(_), .. } => {
                self.hop(entry.at, "gateway", "bot", "verified, decrypted, dispatched to its bot");
            }
            BotHappening::Synced { messages, .. } => {
                self.hop(entry.at, "bot", "WeCom", &format!("sync_msg with the event's token: {messages} new"));
            }
            BotHappening::RegistrationFailed { why } | BotHappening::TokenRefused { why, .. } => {
                self.hop(entry.at, "bot", "gateway", &format!("{RED}refused: {why}{RED:#}"));
            }
            BotHappening::CallFailed { api, why } => {
                self.hop(entry.at, "bot", "WeCom", &format!("{RED}{api}: {why}{RED:#}"))
            }
            BotHappening::Died { reason } => self.hop(entry.at, "bot", "", &format!("{RED}died: {reason}{RED:#}")),
            BotHappening::Deregistered => self.hop(entry.at, "bot", "gateway", "deregisters"),
            // Its answer is told when it has reached the customer.
            BotHappening::Ready | BotHappening::Dispatched { .. } | BotHappening::Answered { .. } => {}
        }
    }

    /// The customer waited in vain.
    pub fn no_answer(&self, patience: Duration) {
        let now = self.stage.wecom.clock().now();
        self.hop(now, CUSTOMER, "", &format!("{RED}no answer within {} s{RED:#}", patience.as_secs()));
    }

    /// What it came to.
    pub fn end(&self, sum: &Sum) {
        let calls = self.stage.wecom.calls(Api::GetToken);
        let median =
            sum.median().map_or_else(String::new, |took| format!(", half of them within {} ms", took.as_millis()));
        let (asked, answered) = (sum.asked(), sum.answered());
        report::data(format_args!("\n{BOLD}{answered} of {asked} messages answered{BOLD:#}{median}"));
        let calls = if calls == 1 { "one call".to_owned() } else { format!("{calls} calls") };
        report::data(format_args!("  with {calls} to WeCom for the access token"));
    }

    /// Milliseconds since the scene began.
    fn since(&self, at: Timestamp) -> i128 {
        at.duration_since(self.scene.lock().began).as_millis().max(0)
    }

    fn hop(&self, at: Timestamp, from: &str, to: &str, text: &str) {
        let ms = self.since(at);
        let way = if to.is_empty() { from.to_owned() } else { format!("{from} → {to}") };
        let style = way_style(from);
        let mut lines = wrapped(text, TEXT_WIDTH).into_iter();
        let first = lines.next().unwrap_or_default();
        report::data(format_args!("{DIM}{ms:>5} ms{DIM:#}  {style}{way:<17}{style:#}  {first}"));
        for line in lines {
            report::data(format_args!("{:29}{line}", ""));
        }
    }
}

fn way_style(from: &str) -> Style {
    match from {
        "gateway" => CYAN,
        CUSTOMER => BOLD,
        _ => Style::new(),
    }
}

fn outcome(errcode: Option<i64>) -> String {
    match errcode {
        Some(0) => "granted".to_owned(),
        Some(code) => format!("errcode {code}"),
        None => "no answer".to_owned(),
    }
}

/// Breaks between words; what is between escape marks counts for nothing.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = anstream::adapter::strip_str(word).to_string().chars().count();
        match lines.last_mut() {
            Some(line) if used + 1 + length <= width => {
                line.push(' ');
                line.push_str(word);
                used += 1 + length;
            }
            _ => {
                lines.push(word.to_owned());
                used = length;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_between_words_without_counting_colours() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        let coloured = format!("{RED}one{RED:#} two three");
        assert_eq!(wrapped(&coloured, 7).len(), 2);
        assert_eq!(wrapped("unbreakable word", 4), ["unbreakable", "word"]);
    }
}
