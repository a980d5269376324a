//! The demo as a newcomer starts it: the real binary, every part of it over real sockets.

use std::process::{Command, Stdio};

#[test]
fn a_message_travels_there_and_back() {
    let home = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    demo.env_clear().env("TMPDIR", home.path()).args(["demo", "--messages", "2", "--every", "0"]);
    let output = demo.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stderr, b"", "nothing went wrong: {}", String::from_utf8_lossy(&output.stderr));
    let hops = [
        "gettoken: call 1, granted",
        "registers for wk_demo of ww_demo: accepted",
        "the callback URL is verified",
        "“Hello, is anybody there?”",
        "verified, decrypted, dispatched to its bot",
        "the shared token",
        "sync_msg with the event's token: 1 new",
        "“you wrote: Hello, is anybody there?”",
        "2 of 2 messages answered",
        "with one call to WeCom for the access token",
    ];
    let mut rest = told.as_str();
    for hop in hops {
        let Some((_, later)) = rest.split_once(hop) else { panic!("no `{hop}` after what went before:\n{told}") };
        rest = later;
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "its directory is removed");
}
