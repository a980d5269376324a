use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::egress::DenyList;

const FOREVER: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(200);
const NO_LIMITS: Limits = Limits { tunnels: 1, idle: FOREVER, life: FOREVER, idle_in_drain: FOREVER };

struct World {
    proxy: ForwardProxy,
    server: TcpListener,
    tasks: Tasks,
}

impl World {
    async fn new(limits: Limits) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hosts = AllowedHosts::parse(&server.local_addr().unwrap().to_string()).unwrap();
        let tasks = Tasks::new();
        let proxy = ForwardProxy::within(limits, hosts, Dialer::new(DenyList::default(), None, None), tasks.clone());
        Self { proxy, server, tasks }
    }

    async fn open(&self) -> Result<Tunnel, Refusal> {
        self.proxy.open("127.0.0.1", self.server.local_addr().unwrap().port()).await
    }

    /// Both ends of a tunnel.
    async fn tunnel(&self) -> (DuplexStream, TcpStream) {
        let (near, caller) = duplex(1024);
        self.open().await.unwrap().lead(async { Ok::<_, std::io::Error>(caller) });
        (near, self.server.accept().await.unwrap().0)
    }
}

#[tokio::test]
async fn a_side_that_has_no_more_to_say_still_hears_the_other() {
    let world = World::new(NO_LIMITS).await;
    let (mut caller, mut server) = world.tunnel().await;
    caller.write_all(b"the question").await.unwrap();
    caller.shutdown().await.unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "the question");
    server.write_all(b"the answer").await.unwrap();
    drop(server);
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "the answer");
}

#[tokio::test]
async fn nothing_for_too_long_ends_it_and_a_byte_now_and_then_does_not() {
    let world = World::new(Limits { idle: SHORT, ..NO_LIMITS }).await;
    let (mut caller, mut server) = world.tunnel().await;
    for _ in 0..20 {
        caller.write_u8(7).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), 7);
        tokio::time::sleep(SHORT / 10).await;
    }
    assert_eq!(caller.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn no_tunnel_lives_for_ever_however_busy() {
    let world = World::new(Limits { life: SHORT, ..NO_LIMITS }).await;
    let (mut caller, mut server) = world.tunnel().await;
    while caller.write_u8(7).await.is_ok() && server.read_u8().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(caller.read_u8().await.is_err());
}

#[tokio::test]
async fn a_side_that_is_gone_ends_it_and_frees_its_place() {
    for caller_goes in [true, false] {
        let world = World::new(NO_LIMITS).await;
        let (mut caller, mut server) = world.tunnel().await;
        assert!(matches!(world.open().await, Err(Refusal::Full)));
        if caller_goes {
            drop(caller);
            assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
            drop(server);
        } else {
            drop(server);
            assert_eq!(caller.read(&mut [0]).await.unwrap(), 0);
            drop(caller);
        }
        world.tasks.stop();
        assert!(world.tasks.drained(FOREVER).await);
        assert!(world.open().await.is_ok());
    }
}

#[tokio::test]
async fn a_stop_waits_for_what_is_in_flight_and_for_nothing_else() {
    let world = World::new(Limits { tunnels: 2, idle_in_drain: SHORT, ..NO_LIMITS }).await;
    let (_idle, _) = world.tunnel().await;
    let (mut caller, mut server) = world.tunnel().await;
    world.tasks.stop();
    let busy = async {
        for _ in 0..20 {
            server.write_u8(7).await.unwrap();
            assert_eq!(caller.read_u8().await.unwrap(), 7);
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::select! {
        biased;
        () = busy => {}
        _ = world.tasks.drained(FOREVER) => panic!("the busy one was cut"),
    }
    assert!(world.tasks.drained(FOREVER).await);
}

#[tokio::test]
async fn what_is_not_allowed_full_or_away_is_told_apart() {
    let world = World::new(NO_LIMITS).await;
    for (host, port) in [("localhost", world.server.local_addr().unwrap().port()), ("127.0.0.1", 1)] {
        let refused = world.proxy.open(host, port).await.unwrap_err();
        assert!(matches!(refused, Refusal::NotAllowed(_)), "{refused}");
    }
    let held = world.open().await.unwrap();
    assert!(matches!(world.open().await, Err(Refusal::Full)));
    drop(held);
    let address = world.server.local_addr().unwrap();
    drop(world.server);
    let refused = world.proxy.open("127.0.0.1", address.port()).await.unwrap_err();
    assert!(refused.to_string().starts_with(&format!("{address} cannot be reached: ")), "{refused}");
}
