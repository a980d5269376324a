//! The binary as a user meets it: exit codes, what goes to stdout and what to stderr, signals.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use wxkf_gateway::config::{SETTINGS, create_admin_token};

/// The binary with nothing but these arguments, in an environment without variables.
fn gateway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A gateway on a free port, ended when dropped.
struct Served {
    child: Child,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
    _data: TempDir,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = gateway(arguments);
        command.env("DATA_DIR", data.path()).env("BIND_ADDRESS", "127.0.0.1").env("PORT", "0");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let unknown = SocketAddr::from(([0; 4], 0));
        let mut served = Self { child, log, address: unknown, _data: data };
        let line = served.logged("listening on http://");
        served.address = line.split("http://").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        served
    }

    /// Reads the log up to the line with this text.
    fn logged(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "ended before `{text}`:\n{seen}");
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    fn signal(&self, signal: &str) {
        // The shell's own `kill`: small images have no other.
        let kill = format!("kill {signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn bad_settings_are_all_named_and_end_with_78() {
    let mut command = gateway(&["serve", "--event-ttl", "soon"]);
    command.env("PORT", "http").env("PUPPET_PASSWORD", "s3cret!").env("MASTER_KEY_FILE", "/nowhere/key");
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!((code, stdout.as_str()), (78, ""));
    for name in ["PORT: ", "--event-ttl: ", "PUPPET_PASSWORD: ", "MASTER_KEY_FILE: "] {
        assert!(stderr.lines().any(|line| line.starts_with(&format!("error: {name}"))), "{name} in {stderr}");
    }
    assert!(!stderr.contains("s3cret"), "{stderr}");
    let (code, ..) = run(gateway(&[]).env("MONGO_URI", "mongo://localhost"));
    assert_eq!(code, 78);
}

#[test]
fn a_mistake_on_the_command_line_ends_with_2() {
    for arguments in [&["--no-such-flag"][..], &["no-such-command"], &["serve", "--admin-token", "x"]] {
        let (code, stdout, stderr) = run(&mut gateway(arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}

#[test]
fn help_shows_every_setting_with_its_default() {
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        let (code, stdout, _) = run(&mut gateway(arguments));
        assert_eq!(code, 0);
        // Lines are wrapped wherever the terminal wants them to be.
        let text: String = stdout.split_whitespace().collect();
        for setting in SETTINGS {
            let flag = setting.flag().map(|flag| format!("--{flag}<{}>", setting.variable));
            assert!(text.contains(&flag.unwrap_or_else(|| setting.variable.to_owned())), "{}", setting.variable);
            let default: String = setting.default_text().replace('`', "").split_whitespace().collect();
            assert!(text.contains(&format!("[default:{default}]")), "{}", setting.variable);
        }
    }
}

#[test]
fn sigterm_and_ctrl_c_end_it_with_0() {
    for signal in ["-TERM", "-INT"] {
        let mut served = Served::start(&[]);
        assert!(served.get("/livez").starts_with("HTTP/1.1 200 "));
        served.signal(signal);
        assert_eq!(served.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "there is no runtime")]
fn a_later_signal_ends_it_at_once_and_one_that_comes_with_the_first_does_not() {
    let mut served = Served::start(&["serve", "--shutdown-delay=1h"]);
    served.signal("-INT");
    served.signal("-TERM");
    served.logged("still serving");
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(served.get("/readyz").starts_with("HTTP/1.1 503 "));
    assert!(served.get("/livez").starts_with("HTTP/1.1 200 "));
    served.signal("-TERM");
    assert_eq!(served.child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = tempfile::tempdir().unwrap();
    let mut command = gateway(&["--bind-address", "127.0.0.1", "--port", "0", "--ops-port", &port]);
    let (code, _, stderr) = run(command.env("DATA_DIR", data.path()));
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("error: cannot listen on 127.0.0.1:{port} (OPS_PORT): ")), "{stderr}");
    assert!(stderr.contains("hint: set OPS_PORT"), "{stderr}");
}

#[test]
fn logs_are_json_where_no_terminal_is() {
    let mut served = Served::start(&["--log-format", "auto"]);
    served.signal("-TERM");
    let line: serde_json::Value = serde_json::from_str(&served.logged("stopping")).unwrap();
    assert_eq!(line["signal"], "SIGTERM");
}

#[test]
fn healthcheck_asks_the_gateway_of_this_machine() {
    let served = Served::start(&[]);
    let port = served.address.port().to_string();
    let (code, stdout, stderr) = run(&mut gateway(&["healthcheck", "--port", &port]));
    assert_eq!((code, stdout.as_str()), (0, "ready\n"), "{stderr}");
    drop(served);
    let (code, stdout, stderr) = run(&mut gateway(&["healthcheck", "--port", &port]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with(&format!("error: no answer from http://127.0.0.1:{port}/readyz")), "{stderr}");
}

#[test]
fn healthcheck_tells_whether_the_public_door_leads_to_callbacks_alone() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let public = free.port().to_string();
    let served = Served::start(&["--public-port", &public]);
    let (code, stdout, stderr) = run(&mut gateway(&["healthcheck", "--public", "--public-port", &public]));
    assert_eq!((code, stdout.as_str()), (0, "callbacks alone\n"), "{stderr}");
    let main = served.address.port().to_string();
    let (code, _, stderr) = run(&mut gateway(&["healthcheck", "--public", "--public-port", &main]));
    assert_eq!(code, 1);
    assert!(stderr.contains("/readyz is served to everybody"), "{stderr}");
    let (code, _, stderr) = run(&mut gateway(&["healthcheck", "--public"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("set PUBLIC_PORT"), "{stderr}");
}

#[test]
fn admin_token_prints_what_was_generated() {
    let data = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = run(gateway(&["admin-token"]).env("DATA_DIR", data.path()));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("hint: start the gateway once"), "{stderr}");

    let token = create_admin_token(data.path()).unwrap();
    let (code, stdout, stderr) = run(gateway(&["admin-token", "--ops-port=9000"]).env("DATA_DIR", data.path()));
    assert_eq!((code, stdout), (0, format!("{}\n", token.expose())));
    assert_eq!(stderr, "console: http://127.0.0.1:9000/console\n");
}

#[test]
fn openapi_prints_the_document_and_nothing_else() {
    let (code, stdout, stderr) = run(&mut gateway(&["openapi"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}
