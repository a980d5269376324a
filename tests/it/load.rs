//! The load generator against the real gateway, which is killed in the middle: its proof holds.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{Gateway, SOON};

/// The generator against the gateway, in all conditions.
fn generator(gateway: &Gateway) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().args(["simulate", "load", "--json", "--gateway", gateway.url()]);
    command.args(["--accounts", "200", "--rate", "300", "--duration", "3s", "--pause", "0s"]);
    command.args(["--bots", "up=60,slow=10,refusing=10,absent=10,restarting=10"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_gateway_is_killed() {
    let mut gateway = Gateway::start(&[("REGISTRATION", "open"), ("REGISTRATION_GRACE", "2s")]).await;
    let mut generator = generator(&gateway);
    let mut said = BufReader::new(generator.stderr.take().unwrap()).lines();
    while !said.next_line().await.unwrap().expect("it ended early").contains("calling") {}
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    gateway.kill().await;
    gateway.start_again().await;
    let output = tokio::time::timeout(4 * SOON, generator.wait_with_output()).await.unwrap().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{told:#}");
    assert_eq!(told["proof"]["holds"], true);
    let number = |pointer: &str| told.pointer(pointer).and_then(Value::as_u64).unwrap();
    let (offered, acknowledged) = (number("/callbacks/offered"), number("/callbacks/acknowledged"));
    assert_eq!((offered, offered), (900, acknowledged + number("/callbacks/notAcknowledged")));
    assert!(number("/callbacks/unreachable") + number("/callbacks/broken") > 0, "the kill was not felt: {told:#}");
    assert!(number("/proof/owed") > 150, "{told:#}");
    for strange in ["unreadable", "misrouted", "beforeReady"] {
        assert_eq!(told["pokes"][strange], 0, "{strange}: {told:#}");
    }
}
