//! `simulate service`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use crate::domain::Invalid;
use crate::lifecycle::StopSignals;
use crate::services::signature::SigningSecret;
use crate::simulator::Entry;
use crate::simulator::service::{Answer, Form, Received, Receiver, ReceiverOptions, Sequence, Tally};
use crate::simulator::wecom::Credential;

use super::super::report::{self, BOLD, DIM, GREEN, RED};
use super::super::{Exit, Hinted};
use super::time_of_day;

/// Longer than the gateway waits for a service.
const SLOW: Duration = Duration::from_secs(30);

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Args {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8703")]
    listen: SocketAddr,
    /// The service's secret, `whsec_…`; what it does not sign is answered 401 [default: nothing is checked]
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// What events are answered: a status such as 200, 400 or 503; `slow` (200 after 30 s); `hang` (cut after
    /// 30 s); `random` (503 to about half of them)
    #[arg(long, value_name = "ANSWER", default_value = "200")]
    answer: AnswerArg,
    /// Token of the corp's callbacks, for the format `as-received`
    #[arg(long, default_value = "simulatedToken")]
    token: String,
    /// Key of the corp's callbacks: `EncodingAESKey`, 43 characters
    #[arg(long, value_name = "KEY", default_value = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")]
    aes_key: String,
}

#[derive(Debug, Clone)]
struct AnswerArg(Answer);

impl FromStr for AnswerArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = || text.parse().ok().filter(|status| (200..=599).contains(status));
        Ok(Self(match text {
            "slow" => Answer::Slow(SLOW),
            "hang" => Answer::Hang(SLOW),
            "random" => Answer::Random { refused_percent: 50 },
            _ => Answer::Status(status().ok_or("must be a status from 200 to 599, slow, hang or random")?),
        }))
    }
}

impl Args {
    fn options(&self) -> anyhow::Result<ReceiverOptions> {
        let wrong = |Invalid(rule)| anyhow::anyhow!("--aes-key {rule}");
        // For whom an envelope was sealed is the gateway's check.
        let credential = Credential::new("", &self.token, &self.aes_key).map_err(wrong)?;
        // Not by clap, which would repeat what was given.
        let secret = self.secret.as_deref().map(SigningSecret::parse).transpose();
        Ok(ReceiverOptions {
            listen: self.listen,
            secret: secret.map_err(|fault| anyhow::anyhow!("--secret {fault}"))?,
            credential: Some(credential),
            answer: self.answer.0.clone(),
            ..ReceiverOptions::default()
        })
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut signals = StopSignals::listen().context("cannot listen for SIGTERM and SIGINT")?;
    let receiver = Receiver::start(args.options()?).await.map_err(|error| {
        Hinted::new(
            anyhow::anyhow!("cannot listen on {}: {error}", args.listen),
            "choose another address with --listen",
        )
    })?;
    introduce(&args, &receiver);
    tokio::select! {
        _ = signals.next() => {}
        () = show(&receiver) => {}
    }
    report::data(sum(&receiver.tally()));
    Ok(Exit::Success)
}

fn introduce(args: &Args, receiver: &Receiver) {
    report::data(format_args!("{BOLD}A service listens on {}{BOLD:#}", receiver.url()));
    let secret = match args.secret {
        Some(_) => ",\"secret\":\"whsec_…\"",
        None => {
            report::data("  It checks no signatures: --secret has it check them.");
            ""
        }
    };
    report::data(format_args!(
        "\n  Have the gateway send it events:\n    \
         curl -X PUT http://127.0.0.1:7777/api/admin/corps/ww_simulated/services/simulated \\\n      \
         -H \"Authorization: Bearer $ADMIN_TOKEN\" \\\n      \
         --json '{{\"url\":\"{}\",\"events\":[\"*\"],\"format\":\"json\"{secret}}}'",
        receiver.url()
    ));
    report::data(format_args!(
        "  and WeCom one of them:\n    curl http://127.0.0.1:8700/simulator/events \\\n      \
         --json '{{\"corp\":\"ww_simulated\",\"event\":\"change_contact\"}}'"
    ));
    report::data(format_args!("\n{DIM}Everything that arrives, until Ctrl-C (times in UTC):{DIM:#}"));
}

/// A line for each event, and its body.
async fn show(receiver: &Receiver) {
    let (before, mut news) = receiver.journal().follow_from_start();
    before.iter().for_each(print);
    loop {
        match news.recv().await {
            Ok(entry) => print(&entry),
            Err(RecvError::Lagged(missed)) => report::data(format_args!("… {missed} events left out")),
            Err(RecvError::Closed) => return,
        }
    }
}

fn print(entry: &Entry<Received>) {
    let received = &entry.what;
    let style = if received.is_accepted() { GREEN } else { RED };
    let time = time_of_day(entry.at);
    report::data(format_args!("{DIM}{time}{DIM:#} {style}●{style:#} {}", line(received)));
    for line in body(received).lines() {
        report::data(format_args!("    {DIM}{line}{DIM:#}"));
    }
}

fn line(received: &Received) -> String {
    let event = match (&received.event, received.form) {
        (Some(event), _) => event.as_str(),
        (None, Form::AsReceived) => "an event that --token and --aes-key do not open",
        (None, _) => "an event without a name",
    };
    let signature = match &received.signature {
        None => "signature not checked".to_owned(),
        Some(Ok(())) => "signature good".to_owned(),
        Some(Err(fault)) => format!("signature wrong: {fault}"),
    };
    let answer = received.status.map_or_else(|| "cut".to_owned(), |status| format!("answered {status}"));
    let id = if received.id.is_empty() { "without webhook-id" } else { &received.id };
    let mut line = format!("{event}  {id}  {}, {signature}; {answer}", received.form.name());
    if received.is_repeat {
        line.push_str(", a repeat");
    } else if received.attempt > 1 {
        line.push_str(&format!(", attempt {}", received.attempt));
    }
    match &received.sequence {
        Sequence::After(missing) => line.push_str(&format!(", {} not before it", range(missing))),
        Sequence::Late => line.push_str(", late"),
        Sequence::None | Sequence::Next => {}
    }
    line
}

/// JSON over several lines, XML as it is; of an envelope what was in it.
fn body(received: &Received) -> String {
    let bytes = received.opened.as_ref().unwrap_or(&received.body);
    let json = || serde_json::to_string_pretty(&serde_json::from_slice::<Value>(bytes).ok()?).ok();
    let pretty = if received.form == Form::Json { json() } else { None };
    pretty.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

fn range(numbers: &RangeInclusive<u64>) -> String {
    let (first, last) = (numbers.start(), numbers.end());
    if first == last { format!("number {first}") } else { format!("numbers {first} to {last}") }
}

fn sum(tally: &Tally) -> String {
    let Tally { requests, events, repeats, refused, wrong_signatures, late, missing } = tally;
    let mut sum = format!(
        "{events} events in {requests} requests: {repeats} repeats, {refused} refused, {wrong_signatures} wrong \
         signatures, {late} late"
    );
    if !missing.is_empty() {
        let shown: Vec<String> = missing.iter().take(20).map(range).collect();
        let more = if missing.len() > shown.len() { ", …" } else { "" };
        sum.push_str(&format!("; missing: {}{more}", shown.join(", ")));
    }
    sum
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::services::signature::SignatureFault;

    fn received() -> Received {
        Received {
            id: "msg_1".to_owned(),
            event: Some("click".to_owned()),
            form: Form::Json,
            signature: Some(Ok(())),
            attempt: 1,
            is_repeat: false,
            sequence: Sequence::Next,
            status: Some(200),
            path: "/".to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{\"a\":1}"),
            opened: None,
        }
    }

    #[test]
    fn a_line_says_what_came_and_what_was_made_of_it() {
        assert_eq!(line(&received()), "click  msg_1  json, signature good; answered 200");
        assert_eq!(body(&received()), "{\n  \"a\": 1\n}");
        let again = Received { attempt: 2, is_repeat: true, ..received() };
        assert_eq!(line(&again), "click  msg_1  json, signature good; answered 200, a repeat");
        let after = Received { attempt: 3, sequence: Sequence::After(4..=6), ..received() };
        assert!(line(&after).ends_with("answered 200, attempt 3, numbers 4 to 6 not before it"));
        let forged = Received {
            signature: Some(Err(SignatureFault::Missing)),
            event: None,
            form: Form::AsReceived,
            id: String::new(),
            status: None,
            ..received()
        };
        let told = "an event that --token and --aes-key do not open  without webhook-id  as-received, \
                    signature wrong: it is not signed; cut";
        assert_eq!(line(&forged), told);
    }

    #[test]
    fn the_sum_names_what_is_missing() {
        let tally =
            Tally { requests: 9, events: 5, repeats: 3, refused: 1, missing: vec![2..=2, 4..=7], ..Tally::default() };
        let told = "5 events in 9 requests: 3 repeats, 1 refused, 0 wrong signatures, 0 late; \
                    missing: number 2, numbers 4 to 7";
        assert_eq!(sum(&tally), told);
    }

    #[test]
    fn an_answer_is_a_status_or_a_word() {
        let answer = |text: &str| text.parse::<AnswerArg>().map(|AnswerArg(answer)| answer);
        assert_eq!(answer("503"), Ok(Answer::Status(503)));
        assert_eq!(answer("slow"), Ok(Answer::Slow(SLOW)));
        for wrong in ["", "199", "600", "99999", "fast"] {
            assert!(answer(wrong).unwrap_err().contains("must be"), "{wrong}");
        }
    }
}
