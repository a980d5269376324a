//! The main job: a customer's message travels to the bot and back.

use std::time::Duration;

use crate::harness::{ACCOUNT, CORP, SECRET, SOON, bot, gateway_and_wecom};

#[tokio::test]
async fn a_customers_message_is_answered() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let bot = bot(&gateway, &wecom).await;
    assert!(bot.ready(SOON).await);
    let delivery = wecom.customer_writes(CORP, ACCOUNT, "customer-1", "hello").await;
    assert!(delivery.is_accepted(), "{delivery:?}");
    let answer = wecom.wait_for_answer("customer-1", "hello", SOON).await;
    assert!(answer.is_some(), "no answer; bot died: {:?}; {}", bot.died(), gateway.log());
    assert_eq!(bot.died(), None);
    assert!(gateway.deliveries("live").await.is_empty());
    // The bot fetched one itself, directly; the gateway one for its proof, which it then handed on.
    assert!(wecom.gettoken_calls(CORP, SECRET) <= 2);
    bot.terminate().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
}
