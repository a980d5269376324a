//! The real binary, run as a user would: a process with an environment, a port and a data directory.
//! Beside it the library's simulated WeCom and bots, over real sockets.

mod documented;
mod gateway;
mod relay;
pub(crate) mod servers;
pub(crate) mod tls;

pub(crate) use documented::stands_in;
pub(crate) use gateway::{ADMIN_TOKEN, Gateway};

use std::time::Duration;

use wxkf_gateway::simulator::bot::{Bot, BotOptions};
use wxkf_gateway::simulator::wecom::{Credential, Wecom, WecomOptions};

pub(crate) const CORP: &str = "ww1234567890abcdef";
pub(crate) const SECRET: &str = "the-secret-of-the-app-for-tests-alone-00001";
pub(crate) const TOKEN: &str = "QDG6eK";
pub(crate) const AES_KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
pub(crate) const ACCOUNT: &str = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw";

/// Longer than anything the tests wait for.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A number that a longer run by hand gives as a variable.
pub(crate) fn by_hand(variable: &str, otherwise: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "for a longer proof by hand")]
    let wanted = std::env::var(variable);
    wanted.ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

pub(crate) fn credential() -> Credential {
    Credential::new(CORP, TOKEN, AES_KEY).unwrap()
}

/// A simulated WeCom with one corp and one account.
pub(crate) async fn wecom() -> Wecom {
    let wecom = Wecom::start(WecomOptions::default()).await.unwrap();
    wecom.corp(CORP).secret(SECRET).sealed_by(credential()).account(ACCOUNT);
    wecom
}

/// Both, connected: the simulated WeCom calls the gateway back, the gateway calls it.
pub(crate) async fn gateway_and_wecom() -> (Gateway, Wecom) {
    let wecom = wecom().await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &wecom.base_url())]).await;
    wecom.set_callback_url(CORP, &gateway.callback_url(CORP));
    (gateway, wecom)
}

/// The unmodified bot of that account.
pub(crate) fn bot_options(gateway: &Gateway, wecom: &Wecom) -> BotOptions {
    let mut options = BotOptions::new(CORP, SECRET, credential(), ACCOUNT);
    options.manager = gateway.url().to_owned();
    options.wecom = wecom.base_url();
    options
}

/// The same, started and registered.
pub(crate) async fn bot(gateway: &Gateway, wecom: &Wecom) -> Bot {
    let bot = Bot::start(bot_options(gateway, wecom)).await.unwrap();
    assert!(bot.registered(SOON).await, "the bot did not register");
    bot
}
