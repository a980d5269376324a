//! From one machine to many and back, with the command that the README names.

use std::process::Output;

use tokio::process::Command;

use super::{MASTER_KEY, Services};
use crate::delivery::World;
use crate::harness::{AES_KEY, CORP, Gateway, SOON, TOKEN};

async fn copy(from: &str, to: &str, settings: &[(&str, &str)], more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().args(["copy", "--from", from, "--to", to]).args(more);
    command.envs(settings.iter().copied()).kill_on_drop(true);
    command.output().await.unwrap()
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// A gateway on one machine, with a corp, a bot that is away, and what it holds for it.
async fn one_machine() -> World {
    let mut world = World::start(&[]).await;
    world.bots.close().await;
    world.register("wk1").await;
    assert_eq!(world.poke("wk1", "held").await, 200);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_while_the_gateway_runs_and_can_be_started() {
    let mut world = one_machine().await;
    let backup = tempfile::tempdir().unwrap();
    let from = format!("sqlite:{}", world.gateway.data_dir().display());
    let to = format!("sqlite:{}", backup.path().join("data").display());
    for _ in 0..2 {
        let (code, said) = told(&copy(&from, &to, &[], &[]).await);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("copied: 1 corps, 1 bots, 1 undelivered events"), "{said}");
    }
    world.gateway.kill().await;
    world.bots.open().await;
    let data = backup.path().join("data");
    let settings = [("REGISTRATION", "open"), ("DATA_DIR", data.to_str().unwrap())];
    let restored = World { gateway: Gateway::start(&settings).await, bots: world.bots.shared() };
    restored.takes("wk1", "held", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_store_is_named() {
    let (code, said) = told(&copy("sqlite:/nowhere/at/all", "sqlite:/nowhere/else", &[], &[]).await);
    assert!(code == Some(1) && said.contains("holds no store"), "{said}");
    let (code, said) = told(&copy("postgres://x", "sqlite:/x", &[], &[]).await);
    assert!(code == Some(2) && said.contains("sqlite:DIRECTORY"), "{said}");
    let (code, said) =
        told(&copy("mongodb://u:s3cret@127.0.0.1:1/x", "sqlite:/tmp/x", &[("MASTER_KEY", "x")], &[]).await);
    assert!(code == Some(78) && !said.contains("s3cret"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_gateway_moves_to_many_replicas_and_its_events_arrive_there() {
    let (mut world, services) = (one_machine().await, Services::start().await);
    let from = format!("sqlite:{}", world.gateway.data_dir().display());
    let to = format!("mongodb://{}/wxkf", services.store.address());
    let (code, said) = told(&copy(&from, &to, &[], &[]).await);
    assert!(code == Some(1) && said.contains("set MASTER_KEY"), "{said}");
    let sealing = [("MASTER_KEY", MASTER_KEY)];
    assert_eq!(told(&copy(&from, &to, &sealing, &[]).await).0, Some(0));

    world.gateway.kill().await;
    let moved = World { gateway: services.replica(&[("REGISTRATION", "open")]).await, bots: world.bots.shared() };
    world.bots.open().await;
    assert_eq!(moved.poke("wk1", "new").await, 200, "the corp's keys came along");
    moved.takes("wk1", "new", 2 * SOON).await;

    let back = tempfile::tempdir().unwrap();
    let (code, said) = told(&copy(&to, &format!("sqlite:{}", back.path().display()), &sealing, &["--unsealed"]).await);
    assert_eq!(code, Some(0), "{said}");
    let database = std::fs::read(back.path().join("gateway.db")).unwrap();
    let log = std::fs::read(back.path().join("gateway.db-wal")).unwrap_or_default();
    let readable = |text: &str| {
        [&database, &log].iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    };
    assert!(readable(AES_KEY) && readable(TOKEN) && readable(CORP), "written readable, as asked");
}
