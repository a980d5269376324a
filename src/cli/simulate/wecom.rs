//! `simulate wecom`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;

use crate::lifecycle::StopSignals;
use crate::simulator::wecom::{Attempt, Happening, Verification, Wecom};
use crate::simulator::{Customer, Entry};

use super::super::report::{self, BOLD, DIM, GREEN, RED};
use super::super::{Exit, Hinted};
use super::rules::RuleArgs;
use super::{CorpArgs, time_of_day};

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Args {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8700")]
    listen: SocketAddr,
    #[command(flatten)]
    corp: CorpArgs,
    /// Customer service account (`open_kfid`); several are possible
    #[arg(long = "kf", value_name = "ID", default_value = "wk_simulated")]
    kf: Vec<String>,
    /// Where callbacks go [default: `http://127.0.0.1:7777/callback/{corp}`]
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// A customer writes to each account every so many seconds; 0: nobody writes
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    customer_every: u64,
    /// Decides every token and id: the same seed, the same run
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    rules: RuleArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut signals = StopSignals::listen().context("cannot listen for SIGTERM and SIGINT")?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Hinted::new(
            anyhow::anyhow!("cannot listen on {}: {error}", args.listen),
            "choose another address with --listen",
        )
    })?;
    let wecom = Wecom::serve(listener, args.rules.options(args.seed))?;
    args.rules.break_what_they_say(&wecom);
    let corp = &args.corp.corp;
    let callback_url = args.callback_url.clone().unwrap_or_else(|| format!("http://127.0.0.1:7777/callback/{corp}"));
    let setup =
        wecom.corp(corp).secret(&args.corp.secret).sealed_by(args.corp.credential()?).callback_url(&callback_url);
    let setup = setup.trusted(&args.corp.secret, args.rules.trusted());
    args.kf.iter().fold(setup, |setup, kf| setup.account(kf));
    introduce(&args, &wecom, &callback_url);

    let customers = args.kf.iter().map(|kf| Customer::new(&wecom, corp, kf, "customer-1"));
    let writing = futures::future::join_all(customers.map(|customer| write(customer, args.customer_every)));
    tokio::select! {
        _ = signals.next() => {}
        () = show(&wecom) => {}
        _ = writing, if args.customer_every > 0 => {}
    }
    Ok(Exit::Success)
}

async fn write(customer: Customer, every: u64) {
    let texts = (1..).map(|number| format!("question {number}"));
    customer.writes_every(Duration::from_secs(every.max(1)), texts).await;
}

fn introduce(args: &Args, wecom: &Wecom, callback_url: &str) {
    let (base, corp, kf) = (wecom.base_url(), &args.corp.corp, args.kf.join(", "));
    report::data(format_args!("{BOLD}A simulated WeCom listens on {base}{BOLD:#}"));
    report::data(format_args!("  {BOLD}Open {base} in a browser{BOLD:#} to chat as a customer and to break things."));
    report::data(format_args!("  It knows the corp {corp}, one app of it, and the account {kf}."));
    report::data(format_args!("  Callbacks go to {callback_url}, encrypted and signed."));
    report::data(format_args!("  Everything can be scripted: {base}/simulator/docs"));
    let words = [
        ("Start the gateway against it:", format!("WECOM_API_BASE_URL={base} wxkf-gateway")),
        ("and a bot:", format!("wxkf-gateway simulate bot --wecom {base} --corp {corp} --kf {}", args.kf[0])),
        (
            "Let a customer write:",
            format!(
                "curl {base}/simulator/messages --json \\\n      '{{\"corp\":\"{corp}\",\"openKfId\":\"{}\",\
                 \"customer\":\"customer-1\",\"text\":\"hello\"}}'",
                args.kf[0]
            ),
        ),
        (
            "Press \"save\" on the callback URL:",
            format!("curl {base}/simulator/verify --json '{{\"corp\":\"{corp}\"}}'"),
        ),
        (
            "Break something:",
            format!(
                "curl {base}/simulator/faults --json \\\n      \
                 '{{\"target\":{{\"api\":\"get_token\"}},\"fault\":{{\"errcode\":-1}},\"when\":{{\"next\":3}}}}'"
            ),
        ),
    ];
    for (what, command) in words {
        report::data(format_args!("\n  {what}\n    {command}"));
    }
    report::data(format_args!("\n{DIM}Everything that happens, until Ctrl-C (times in UTC):{DIM:#}"));
}

/// One line for each thing that happens.
async fn show(wecom: &Wecom) {
    let mut news = wecom.journal().follow();
    loop {
        match news.recv().await {
            Ok(entry) => line(&entry),
            Err(RecvError::Lagged(missed)) => report::data(format_args!("… {missed} lines left out")),
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(entry: &Entry<Happening>) {
    let (time, ms) = (time_of_day(entry.at), entry.took_ms);
    let (word, good, text) = match &entry.what {
        Happening::ApiCalled { api, corp, caller, status, errcode, why } => {
            let corp = corp.as_deref().unwrap_or("nobody");
            let answer = match (errcode, status) {
                (Some(code), _) => format!("errcode {code}"),
                (None, Some(status)) => format!("HTTP {status}"),
                (None, None) => "cut".to_owned(),
            };
            let good = matches!(errcode, Some(0)) || (errcode.is_none() && matches!(status, Some(200 | 206)));
            let why = if good { String::new() } else { format!(": {why}") };
            ("call", good, format!("{api} of {corp} from {caller}, {answer}{why}"))
        }
        Happening::CustomerWrote { open_kf_id, customer, text, .. } => {
            ("customer", true, format!("{customer} to {open_kf_id}: {text}"))
        }
        Happening::CustomerAnswered { open_kf_id, customer, text, .. } => {
            ("answer", true, format!("{open_kf_id} to {customer}: {text}"))
        }
        Happening::CustomerEntered { open_kf_id, customer, .. } => {
            ("customer", true, format!("{customer} opens the conversation with {open_kf_id}"))
        }
        Happening::Scripted { what } => ("script", true, what.clone()),
        Happening::CallbackSent { event, repeat, outcome, .. } => {
            let again = if *repeat > 0 { format!(", repeat {repeat}") } else { String::new() };
            ("callback", *outcome == Attempt::Accepted, format!("{event}{again}: {}", attempt(outcome)))
        }
        Happening::UrlVerified { url, outcome, .. } => {
            let text = match outcome {
                Verification::Passed => "passed".to_owned(),
                Verification::NoCallbackUrl => "no callback URL".to_owned(),
                Verification::WrongAnswer { status, .. } => format!("wrong answer, HTTP {status}"),
                Verification::TimedOut => "no answer within a second".to_owned(),
                Verification::Unreachable => "nobody there".to_owned(),
            };
            ("verify", *outcome == Verification::Passed, format!("{url}: {text}"))
        }
    };
    let style = if good { GREEN } else { RED };
    report::data(format_args!("{DIM}{time}{DIM:#} {style}{word:<8}{style:#} {text} {DIM}{ms} ms{DIM:#}"));
}

fn attempt(outcome: &Attempt) -> String {
    match outcome {
        Attempt::Accepted => "accepted".to_owned(),
        Attempt::Refused(status) => format!("answered {status}, so it is sent again"),
        Attempt::TimedOut => "no answer within 5 s, so it is sent again".to_owned(),
        Attempt::Unreachable => "nobody there".to_owned(),
        Attempt::Lost => "lost on request".to_owned(),
    }
}
