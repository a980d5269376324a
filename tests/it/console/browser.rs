//! The console in Chromium, from nothing to a redelivered event, and every page by axe's rules.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use wxkf_gateway::simulator::bot::{Behaviour, Bot};
use wxkf_gateway::simulator::wecom::{Verification, Wecom};

use crate::harness::{ACCOUNT, ADMIN_TOKEN, AES_KEY, CORP, Gateway, SOON, TOKEN, bot, gateway_and_wecom};

/// What happens outside of the browser.
struct Outside {
    gateway: Gateway,
    wecom: Wecom,
    bot: Option<Bot>,
}

impl Outside {
    async fn do_it(&mut self, what: &str) {
        match what {
            "verify" => assert_eq!(self.wecom.verify_url(CORP).await, Verification::Passed),
            "register" => {
                let bot = bot(&self.gateway, &self.wecom).await;
                assert!(bot.ready(SOON).await);
                self.bot = Some(bot);
            }
            "write" => assert!(self.wecom.customer_writes(CORP, ACCOUNT, "wm1", "hello").await.is_accepted()),
            "break" => self.behave(Behaviour::Refuse(500)).await,
            "mend" => self.behave(Behaviour::Normal).await,
            other => panic!("nobody can {other}"),
        }
    }

    async fn behave(&self, behaviour: Behaviour) {
        self.bot.as_ref().expect("it is registered").behave(behaviour).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs what tests/browser/install installs"]
async fn an_operator_connects_a_corp_and_redelivers_an_event_and_every_page_is_accessible() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command.arg(root.join("tests/browser/console.cjs")).kill_on_drop(true);
    command.env("NODE_PATH", root.join("target/foreign/browser/node_modules"));
    command.env("CONSOLE", format!("{}/console", gateway.url()));
    let known =
        [("ADMIN_TOKEN", ADMIN_TOKEN), ("CORP", CORP), ("TOKEN", TOKEN), ("AES_KEY", AES_KEY), ("ACCOUNT", ACCOUNT)];
    let mut browser = command.envs(known).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut answers, lines) = (browser.stdin.take().unwrap(), browser.stdout.take().unwrap());
    let mut lines = BufReader::new(lines).lines();
    let mut outside = Outside { gateway, wecom, bot: None };
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(what) = line.strip_prefix("do ") {
            outside.do_it(what).await;
            answers.write_all(b"done\n").await.unwrap();
        }
        last = line;
    }
    assert!(browser.wait().await.unwrap().success());
    assert_eq!(last, "passed");
}
