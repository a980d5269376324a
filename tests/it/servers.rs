//! The servers that other tests rely on: what they keep, and what they count.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::WriteConcern;

use crate::harness::servers::{MongoKind, MongoServer};

async fn collection(server: &MongoServer) -> mongodb::Collection<Document> {
    let client = mongodb::Client::with_uri_str(format!("mongodb://{}", server.address())).await.unwrap();
    client.database("test").collection("rows")
}

/// Acknowledged as the store asks for it, a row is there after a kill.
async fn keeps_what_it_acknowledged(kind: MongoKind) {
    let mut server = MongoServer::start(kind).await.unwrap();
    let address = server.address();
    let journaled = WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).journal(true).build();
    for number in 0..20 {
        let rows = collection(&server).await;
        rows.insert_one(doc! { "_id": number }).write_concern(journaled.clone()).await.unwrap();
        if number % 10 == 9 {
            server.kill().await;
            server.start_again().await;
        }
    }
    assert_eq!(server.address(), address);
    assert_eq!(collection(&server).await.count_documents(doc! {}).await.unwrap(), 20);
}

async fn counts_commands(kind: MongoKind) {
    let server = MongoServer::start(kind).await.unwrap();
    let rows = collection(&server).await;
    let before = server.commands().await;
    for number in 0..100 {
        rows.insert_one(doc! { "_id": number }).await.unwrap();
    }
    let counted = server.commands().await - before;
    // Beside them, what the drivers ask at a connection's start.
    assert!((100..120).contains(&counted), "{counted}");
}

mod ferretdb {
    use super::*;

    #[tokio::test]
    #[ignore = "needs FerretDB: tests/servers/install"]
    async fn keeps_what_it_acknowledged_over_a_kill() {
        keeps_what_it_acknowledged(MongoKind::FerretDb).await;
    }

    #[tokio::test]
    #[ignore = "needs FerretDB: tests/servers/install"]
    async fn commands_are_counted() {
        counts_commands(MongoKind::FerretDb).await;
    }
}

mod mongo_java {
    use super::*;

    #[tokio::test]
    #[ignore = "needs mongo-java-server: tests/servers/install"]
    async fn keeps_what_it_acknowledged_over_a_kill() {
        keeps_what_it_acknowledged(MongoKind::MongoJava).await;
    }

    #[tokio::test]
    #[ignore = "needs mongo-java-server: tests/servers/install"]
    async fn commands_are_counted() {
        counts_commands(MongoKind::MongoJava).await;
    }
}

mod redis {
    use super::*;
    use crate::harness::servers::RedisServer;

    #[tokio::test]
    #[ignore = "needs Redis: tests/servers/install"]
    async fn killed_it_comes_back_empty_at_its_port() {
        let mut server = RedisServer::start().await.unwrap();
        let address = server.address();
        server.ask::<()>("SET key value").await;
        server.kill().await;
        server.start_again().await;
        assert_eq!((server.address(), server.ask::<Option<String>>("GET key").await), (address, None));
    }

    #[tokio::test]
    #[ignore = "needs Redis: tests/servers/install"]
    async fn frozen_it_answers_when_it_is_thawed() {
        let server = RedisServer::start().await.unwrap();
        server.freeze();
        let mut answer = Box::pin(server.ask::<String>("PING"));
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut answer).await.is_err());
        server.thaw();
        // The client's own patience may have ended meanwhile: it is asked anew.
        drop(answer);
        assert_eq!(server.ask::<String>("PING").await, "PONG");
    }

    #[tokio::test]
    #[ignore = "needs Redis: tests/servers/install"]
    async fn commands_are_counted() {
        let server = RedisServer::start().await.unwrap();
        let before = server.commands().await;
        for _ in 0..100 {
            server.ask::<()>("PING").await;
        }
        // Each connection says first who the client is, in two commands.
        let counted = server.commands().await - before;
        assert!((100..=100 * 3 + 10).contains(&counted), "{counted}");
    }
}
