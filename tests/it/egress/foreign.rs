//! Programs that nobody here wrote, with nothing but `HTTPS_PROXY` set. `tests/run` installs and runs them.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::*;

fn rooted(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What the program told, and whether it ended well.
async fn run(command: &mut Command, proxy: &str) -> (bool, String) {
    for variable in ["https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(variable);
    }
    command.env("HTTPS_PROXY", proxy).stdin(Stdio::null());
    let run = command.output().await.unwrap();
    let told = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    (run.status.success(), told)
}

/// A bot's calls with this axios, and in which form they came.
async fn axios(version: &str) -> (World, String) {
    let world = World::start(&[]).await;
    let mut node = Command::new("node");
    node.arg(rooted("tests/simulator/axios_bot.cjs")).args([version, &world.url, CORP, SECRET]);
    node.env("NODE_PATH", rooted("target/foreign/node/node_modules")).env("NODE_EXTRA_CA_CERTS", AUTHORITY);
    let (ended_well, told) = run(&mut node, &world.proxy()).await;
    assert!(ended_well && told.ends_with("ok\n"), "{told}");
    let metrics = world.metrics().await;
    (world, metrics)
}

fn served(world: &World, metrics: &str, form: &str) -> bool {
    metrics
        .contains(&format!("wxkf_egress_requests_total{{host=\"{}\",form=\"{form}\",result=\"served\"}}", world.host()))
}

#[tokio::test]
#[ignore = "needs what tests/simulator/install installs"]
async fn axios_of_the_bots_sends_whole_urls() {
    let (world, metrics) = axios("axios-1.3.4").await;
    assert!(served(&world, &metrics, "absolute") && !served(&world, &metrics, "tunnel"), "{metrics}");
    assert_eq!(world.wecom.gettoken_calls(CORP, SECRET), 1, "the second one came from the cache");
}

#[tokio::test]
#[ignore = "needs what tests/simulator/install installs"]
async fn the_newest_axios_opens_tunnels() {
    let (world, metrics) = axios("axios").await;
    assert!(served(&world, &metrics, "tunnel") && !served(&world, &metrics, "absolute"), "{metrics}");
}

#[tokio::test]
#[ignore = "needs curl"]
async fn curl_reaches_wecom_alone() {
    let world = World::start(&[]).await;
    let curl = |url: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20", "--cacert", AUTHORITY, url]);
        command
    };
    let url = format!("{}/cgi-bin/gettoken?corpid={CORP}&corpsecret={SECRET}", world.url);
    let (ended_well, told) = run(&mut curl(&url), &world.proxy()).await;
    assert!(ended_well && told.contains("\"errcode\":0"), "{told}");
    let (_, told) = run(&mut curl("https://elsewhere.example/"), &world.proxy()).await;
    assert!(told.contains("403"), "{told}");
    let (_, told) = run(&mut curl(&url), &format!("http://{}", egress(&world.gateway))).await;
    assert!(told.contains("407"), "{told}");
}
