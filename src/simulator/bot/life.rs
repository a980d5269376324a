//! From the start of the process to its end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::client::{self, TokenSource};
use super::{Behaviour, Bot, BotHappening, BotOptions, Death, Mode, Shared, dispatch, work};
use crate::egress;
use crate::lifecycle::Tasks;
use crate::simulator::journal::Journal;
use crate::simulator::port::{KillOnDrop, Port};

/// A bot's own calls; longer than any answer of the gateway (15 s) takes.
const CALL_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn start(options: BotOptions) -> io::Result<Bot> {
    let listener = TcpListener::bind(options.listen).await?;
    let tasks = Tasks::new();
    let port = Arc::new(Port::new(listener.local_addr()?, tasks.clone()));
    let endpoint = options.endpoint.clone().unwrap_or_else(|| format!("http://{}", port.address()));
    let shared = Arc::new(Shared {
        endpoint,
        port: Arc::clone(&port),
        http: egress::client(CALL_LIMIT).map_err(io::Error::other)?,
        journal: Journal::new(options.clock.clone()),
        received: Mutex::default(),
        behaviour: Mutex::default(),
        ready: Mutex::default(),
        died: Mutex::default(),
        token: Mutex::default(),
        cursor: tokio::sync::Mutex::new(options.cursor.clone()),
        ended: CancellationToken::new(),
        tasks: tasks.clone(),
        options,
    });
    if shared.options.listen_after.is_zero() {
        port.serve(listener, dispatch::routes(Arc::clone(&shared)));
    }
    let bot = Bot { shared: Arc::clone(&shared), _port: KillOnDrop(port) };
    tasks.spawn(async move {
        tokio::select! {
            () = shared.ended.cancelled() => {}
            () = live(&shared) => {}
        }
    });
    Ok(bot)
}

/// The order of the unmodified puppet: token, registration (once, no heartbeat), and only then
/// whatever makes it ready. The robust one is ready first.
async fn live(shared: &Arc<Shared>) {
    let robust = shared.options.mode == Mode::Robust;
    let from = if robust { TokenSource::Manager } else { TokenSource::Wecom };
    if let Err(why) = client::fetch_token(shared, from, None).await {
        shared.journal.record(BotHappening::TokenRefused { from, why }, Instant::now());
    }
    if robust {
        become_ready(shared);
    }
    register(shared).await;
    if !shared.options.listen_after.is_zero() {
        tokio::time::sleep(shared.options.listen_after).await;
        // A port that is taken meanwhile stays closed, which is what the gateway must cope with.
        let _ = shared.port.reopen(dispatch::routes(Arc::clone(shared))).await;
    }
    if !robust {
        tokio::time::sleep(shared.options.ready_after).await;
        become_ready(shared);
    }
    poll(shared).await;
}

fn become_ready(shared: &Shared) {
    *shared.ready.lock() = true;
    shared.journal.record(BotHappening::Ready, Instant::now());
}

async fn register(shared: &Shared) {
    loop {
        let began = Instant::now();
        match client::register(shared).await {
            Ok(()) => return shared.journal.record(BotHappening::Registered, began),
            Err(why) => shared.journal.record(BotHappening::RegistrationFailed { why }, began),
        }
        tokio::time::sleep(shared.options.register_again_after).await;
    }
}

/// Without a token: a lost dispatch costs a minute.
async fn poll(shared: &Arc<Shared>) {
    let Some(every) = shared.options.poll_every else { return };
    loop {
        tokio::time::sleep(every).await;
        work::sync(shared, None).await;
    }
}

pub(super) async fn behave(shared: &Arc<Shared>, behaviour: Behaviour) -> io::Result<()> {
    let before = std::mem::replace(&mut *shared.behaviour.lock(), behaviour);
    match (before, behaviour) {
        (_, Behaviour::Closed) => shared.port.close().await,
        (Behaviour::Closed, _) => shared.port.reopen(dispatch::routes(Arc::clone(shared))).await?,
        _ => {}
    }
    Ok(())
}

/// An unhandled rejection: the process ends in the middle of what it does.
pub(super) fn die(shared: &Shared, reason: Death) {
    *shared.died.lock() = Some(reason);
    shared.journal.record(BotHappening::Died { reason }, Instant::now());
    shared.ended.cancel();
    shared.port.kill();
}

pub(super) async fn stop(shared: &Shared) {
    let began = Instant::now();
    match client::deregister(shared).await {
        Ok(()) => shared.journal.record(BotHappening::Deregistered, began),
        Err(why) => shared.journal.record(BotHappening::CallFailed { api: "deregister".to_owned(), why }, began),
    }
    shared.ended.cancel();
    shared.port.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::bot::Answer;
    use crate::simulator::bot::testkit::{Manager, bot};
    use crate::simulator::wecom::testkit::{http, wecom};
    use crate::simulator::wecom::{Wecom, WecomOptions};

    const SOON: Duration = Duration::from_secs(10);

    async fn poke(bot: &Bot, wecom: &Wecom) {
        let body = serde_json::json!({ "openKfId": "wk1", "token": wecom.sync_token("ww1", "wk1") });
        let url = format!("{}/callback/decrypted", bot.endpoint());
        assert_eq!(http().post(url).json(&body).send().await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn fetches_from_wecom_registers_once_and_deregisters_on_sigint() {
        let wecom = wecom(WecomOptions::default()).await;
        let manager = Manager::start().await;
        let bot = bot(&wecom, &manager.url(), |_| ()).await;
        assert!(bot.ready(SOON).await);
        assert_eq!(wecom.gettoken_calls("ww1", "s1"), 1);
        let basic = Some("Basic Ym90OnBhc3M=".to_owned());
        let told = |verb: &str| (format!("/puppetWxkfManager/{verb}"), String::new(), basic.clone());
        assert_eq!(manager.calls(), [told("register")]);
        bot.stop().await;
        assert_eq!(manager.calls(), [told("register"), told("deregister")]);
    }

    #[tokio::test]
    async fn leaves_no_word_on_sigterm() {
        let wecom = wecom(WecomOptions::default()).await;
        let manager = Manager::start().await;
        let bot = bot(&wecom, &manager.url(), |_| ()).await;
        assert!(bot.ready(SOON).await);
        let endpoint = bot.endpoint().to_owned();
        bot.terminate().await;
        assert_eq!(manager.calls().len(), 1);
        assert!(http().get(endpoint).send().await.is_err());
    }

    #[tokio::test]
    async fn registers_again_after_a_failure() {
        let wecom = wecom(WecomOptions::default()).await;
        let nobody = "http://127.0.0.1:1";
        let bot = bot(&wecom, nobody, |options| options.register_again_after = Duration::from_millis(1)).await;
        let mut failures = 0;
        let failed = |what: &BotHappening| {
            failures += usize::from(matches!(what, BotHappening::RegistrationFailed { .. }));
            failures == 2
        };
        assert!(bot.journal().wait_for(SOON, failed).await.is_some());
    }

    #[tokio::test]
    async fn answers_each_message_once() {
        let wecom = wecom(WecomOptions::default()).await;
        let manager = Manager::start().await;
        let bot = bot(&wecom, &manager.url(), |_| ()).await;
        assert!(bot.ready(SOON).await);
        wecom.customer_writes_silently("ww1", "wk1", "customer", "one");
        poke(&bot, &wecom).await;
        poke(&bot, &wecom).await;
        assert!(wecom.wait_for_answer("customer", "one", SOON).await.is_some());
        wecom.customer_writes_silently("ww1", "wk1", "customer", "two");
        poke(&bot, &wecom).await;
        assert!(wecom.wait_for_answer("customer", "two", SOON).await.is_some());
        assert_eq!(wecom.answers("wk1", "customer"), ["you wrote: one", "you wrote: two"]);
    }

    /// It asks its manager only when WeCom says 42001 and its own clock agrees; 40014 it does not know.
    #[tokio::test]
    async fn renews_only_what_has_expired() {
        let wecom = wecom(WecomOptions::default()).await;
        let manager = Manager::start().await;
        let bot = bot(&wecom, &manager.url(), |_| ()).await;
        assert!(bot.ready(SOON).await);
        wecom.revoke_tokens("ww1");
        poke(&bot, &wecom).await;
        let failed =
            |what: &BotHappening| matches!(what, BotHappening::CallFailed { why, .. } if why.contains("40014"));
        assert!(bot.journal().wait_for(SOON, failed).await.is_some());
        assert_eq!(manager.calls().len(), 1);
    }

    #[tokio::test]
    async fn the_robust_one_tells_its_manager_what_failed() {
        let wecom = wecom(WecomOptions::default()).await;
        let manager = Manager::start().await;
        let options = |options: &mut BotOptions| {
            options.mode = Mode::Robust;
            options.answer = Answer::Silent;
        };
        let robust = bot(&wecom, &manager.url(), options).await;
        assert!(robust.registered(SOON).await);
        assert_eq!(wecom.gettoken_calls("ww1", "s1"), 0);
        poke(&robust, &wecom).await;
        let failed = |what: &BotHappening| matches!(what, BotHappening::CallFailed { .. });
        assert!(robust.journal().wait_for(SOON, failed).await.is_some());
        let queries: Vec<String> = manager.calls().into_iter().map(|(_, query, _)| query).collect();
        assert!(queries.iter().any(|query| query.ends_with("&invalid_token=shared")), "{queries:?}");
    }

    #[tokio::test]
    async fn may_open_its_port_late() {
        let wecom = wecom(WecomOptions::default()).await;
        let manager = Manager::start().await;
        let late = |by: Duration| move |options: &mut BotOptions| options.listen_after = by;
        let closed = bot(&wecom, &manager.url(), late(Duration::from_secs(3600))).await;
        assert!(closed.registered(SOON).await);
        assert!(http().get(closed.endpoint()).send().await.is_err());
        let opened = bot(&wecom, &manager.url(), late(Duration::from_millis(1))).await;
        assert!(opened.ready(SOON).await);
        assert_eq!(http().get(opened.endpoint()).send().await.unwrap().status(), 404);
    }
}
