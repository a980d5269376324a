use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::lifecycle::Phase;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A running server whose `/slow` says when it was entered and answers when it is let go.
struct Running {
    addresses: Vec<SocketAddr>,
    life: Lifecycle,
    stop: CancellationToken,
    entered: mpsc::UnboundedReceiver<()>,
    let_go: Arc<Notify>,
    server: JoinHandle<Drained>,
}

#[derive(Clone)]
struct Gate {
    entered: mpsc::UnboundedSender<()>,
    let_go: Arc<Notify>,
}

async fn slow(State(gate): State<Gate>) -> &'static str {
    gate.entered.send(()).unwrap();
    gate.let_go.notified().await;
    "late"
}

async fn run(ports: usize, delay: Duration, grace: Duration) -> Running {
    run_within(LIMITS, ports, delay, grace).await
}

async fn run_within(limits: Limits, ports: usize, delay: Duration, grace: Duration) -> Running {
    let (entering, entered) = mpsc::unbounded_channel();
    let let_go = Arc::new(Notify::new());
    let gate = Gate { entered: entering, let_go: Arc::clone(&let_go) };
    let mut listeners = Vec::new();
    for port in 0..ports {
        let router = Router::new()
            .route("/slow", get(slow))
            .route("/port", get(move || async move { port.to_string() }))
            .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
            .with_state(gate.clone());
        listeners.push((Listener::bind(LOCAL, 0, "PORT").await.unwrap(), router.into()));
    }
    let addresses = listeners.iter().map(|(listener, _)| listener.address()).collect();
    let life = Lifecycle { tasks: Tasks::new(), readiness: Readiness::default(), delay, grace };
    life.readiness.ready();
    let stop = CancellationToken::new();
    let serving = {
        let (life, stop) = (life.clone(), stop.clone());
        async move { serve_within(limits, listeners, &life, stop.cancelled_owned()).await }
    };
    let server = Tasks::new().spawn(serving);
    Running { addresses, life, stop, entered, let_go, server }
}

async fn send(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    ask(&mut stream, path).await;
    stream
}

async fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n").as_bytes()).await.unwrap();
}

/// Reads one answer whose body is `body`, leaving the connection open.
async fn answered(stream: &mut TcpStream, body: &str) {
    let mut seen = Vec::new();
    while !seen.ends_with(format!("\r\n\r\n{body}").as_bytes()) {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "closed after {:?}", String::from_utf8_lossy(&seen));
    }
    assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

/// Reads to the end of the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut seen = String::new();
    let _ = stream.read_to_string(&mut seen).await;
    seen
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn each_listener_serves_its_own_routes_and_knows_the_peer() {
    let running = run(2, Duration::ZERO, LONG).await;
    for (port, &address) in running.addresses.iter().enumerate() {
        answered(&mut send(address, "/port").await, &port.to_string()).await;
    }
    let mut stream = send(running.addresses[0], "/peer").await;
    let own = stream.local_addr().unwrap().to_string();
    answered(&mut stream, &own).await;
    ask(&mut stream, "/port").await;
    answered(&mut stream, "0").await;
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_closes_the_rest() {
    let mut running = run(2, Duration::ZERO, LONG).await;
    let mut idle = send(running.addresses[0], "/port").await;
    answered(&mut idle, "0").await;
    let fresh = TcpStream::connect(running.addresses[1]).await.unwrap();
    let slow = send(running.addresses[1], "/slow").await;
    running.entered.recv().await.unwrap();

    running.stop.cancel();
    running.life.readiness.reached(Phase::Draining).await;
    assert_eq!(rest(idle).await, "", "an idle connection is closed");
    assert_eq!(rest(fresh).await, "", "so is one that never asked");
    while TcpStream::connect(running.addresses[0]).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.server.is_finished(), "one request is in flight");
    running.let_go.notify_one();
    let answer = rest(slow).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("late"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(running.server.await.unwrap(), Drained::Complete);
    assert!(running.life.tasks.is_stopping());
}

#[tokio::test]
async fn the_grace_cuts_off_what_does_not_end() {
    let mut running = run(1, Duration::ZERO, Duration::from_millis(50)).await;
    let slow = send(running.addresses[0], "/slow").await;
    running.entered.recv().await.unwrap();
    running.stop.cancel();
    assert_eq!(running.server.await.unwrap(), Drained::Cut);
    assert_eq!(rest(slow).await, "", "no answer, and the connection is gone");
}

#[tokio::test]
async fn everything_is_served_during_the_delay() {
    let running = run(1, LONG, LONG).await;
    running.stop.cancel();
    running.life.readiness.reached(Phase::Draining).await;
    answered(&mut send(running.addresses[0], "/port").await, "0").await;
    assert!(!running.life.tasks.is_stopping());
    running.server.abort();
}

#[tokio::test]
async fn background_tasks_outlive_the_connections() {
    let mut running = run(1, Duration::ZERO, LONG).await;
    let slow = send(running.addresses[0], "/slow").await;
    running.entered.recv().await.unwrap();
    let (tasks, let_go) = (running.life.tasks.clone(), Arc::clone(&running.let_go));
    let worker = running.life.tasks.spawn(async move {
        assert!(!tasks.is_stopping());
        let_go.notify_one();
        tasks.stopping().await;
    });
    running.stop.cancel();
    assert!(rest(slow).await.ends_with("late"));
    worker.await.unwrap();
    assert_eq!(running.server.await.unwrap(), Drained::Complete);
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let first = Listener::bind(LOCAL, 0, "PORT").await.unwrap();
    let error = Listener::bind(LOCAL, first.address().port(), "OPS_PORT").await.unwrap_err();
    let text = error.to_string();
    assert_eq!(text, format!("cannot listen on {} (OPS_PORT)", first.address()));
}

#[tokio::test]
async fn a_connection_without_a_whole_first_head_is_closed() {
    let limits = Limits { first_head: Duration::from_millis(20), ..LIMITS };
    let running = run_within(limits, 1, Duration::ZERO, LONG).await;
    let mut stream = TcpStream::connect(running.addresses[0]).await.unwrap();
    stream.write_all(b"GET /port HTTP/1.1\r\nhost: ga").await.unwrap();
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn a_full_listener_lets_further_callers_wait() {
    let mut running = run_within(Limits { connections: 1, ..LIMITS }, 1, Duration::ZERO, LONG).await;
    let slow = send(running.addresses[0], "/slow").await;
    running.entered.recv().await.unwrap();
    let mut waiting = send(running.addresses[0], "/port").await;
    running.let_go.notify_one();
    drop(slow);
    answered(&mut waiting, "0").await;
}

/// The status line of the answer to a head.
async fn status(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be answered and closed before it is sent whole.
    let _ = stream.write_all(head.as_bytes()).await;
    rest(stream).await.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_head_is_bounded_in_bytes_and_fields() {
    let running = run(1, Duration::ZERO, LONG).await;
    let address = running.addresses[0];
    let head = |target: &str, fields: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{fields}\r\n")
    };
    let fields = |count: usize| (0..count).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    for (head, expected) in [
        (head("/port", &fields(98)), "200 OK"),
        (head("/port", &fields(99)), "431 Request Header Fields Too Large"),
        (head(&format!("/port?{}", "x".repeat(LIMITS.head - 200)), ""), "200 OK"),
        (head(&format!("/port?{}", "x".repeat(LIMITS.head * 3)), ""), "431 Request Header Fields Too Large"),
        (head("/port", &format!("x: {}\r\n", "x".repeat(LIMITS.head * 3))), "431 Request Header Fields Too Large"),
    ] {
        assert_eq!(status(address, &head).await, format!("HTTP/1.1 {expected}"), "{} bytes", head.len());
    }
}

#[tokio::test]
async fn a_connection_without_a_whole_further_head_is_closed() {
    let limits = Limits { next_head: Duration::from_millis(50), ..LIMITS };
    let running = run_within(limits, 1, Duration::ZERO, LONG).await;
    let mut stream = send(running.addresses[0], "/port").await;
    answered(&mut stream, "0").await;
    stream.write_all(b"GET /port HTTP/1.1\r\nhost: ga").await.unwrap();
    let answer = rest(stream).await;
    assert!(!answer.contains("200 OK"), "{answer}");
}
