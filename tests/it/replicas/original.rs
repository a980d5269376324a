//! A database that the original manager wrote: it serves at once, and what is written into it the
//! original could read again.

use mongodb::Client;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

use super::Services;
use crate::delivery::{Recorder, World};
use crate::harness::{AES_KEY, CORP, Gateway, SOON, TOKEN};

async fn puppets(services: &Services) -> mongodb::Collection<Document> {
    let client = Client::with_uri_str(format!("mongodb://{}", services.store.address())).await.unwrap();
    client.database("wxkf").collection("wxkfpuppets")
}

/// As mongoose writes it.
fn document(kf: &str, endpoint: &str, online: bool) -> Document {
    let mut document = doc! {
        "_id": ObjectId::new(), "botEndpoint": endpoint, "name": "the bot", "kfOpenId": kf, "corpId": CORP,
        "corpSecret": "secret", "token": TOKEN, "encodingAESKey": AES_KEY, "online": online, "__v": 0_i32,
    };
    if !online {
        document.insert("lastOnlineDate", DateTime::from_millis(1_700_000_000_123));
    }
    document
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_documents_of_the_original_serve_at_once_and_stay_readable_for_it() {
    let (services, bots) = (Services::start().await, Recorder::start().await);
    let puppets = puppets(&services).await;
    let documents = [
        document("wk1", &format!("{}/", bots.endpoint("wk1")), true),
        document("wk2", &bots.endpoint("wk2"), false),
        doc! { "_id": ObjectId::new(), "kfOpenId": "broken", "corpId": CORP, "online": true },
    ];
    puppets.insert_many(&documents).await.unwrap();
    let settings = services.settings();
    let settings = settings.iter().filter(|(name, _)| *name != "MASTER_KEY");
    let mut settings: Vec<(&str, &str)> = settings.map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("REGISTRATION", "open"));
    let world = World { gateway: Gateway::start(&settings).await, bots };

    assert_eq!(world.poke("wk1", "first").await, 200, "its own pair opens the callback");
    world.takes("wk1", "first", SOON).await;
    assert_eq!(world.poke("wk2", "held").await, 200);
    assert!(world.bots.sent("wk2").is_empty(), "it is offline");

    world.register("wk2").await;
    world.takes("wk2", "held", SOON).await;
    world.deregister("wk1").await;
    for (kf, online) in [("wk1", false), ("wk2", true)] {
        let found = puppets.find_one(doc! { "kfOpenId": kf }).await.unwrap().unwrap();
        for (field, value) in &documents[usize::from(online)] {
            let same = found.get(field) == Some(value) || matches!(field.as_str(), "botEndpoint" | "name" | "online");
            assert!(same || field == "lastOnlineDate", "{field} of {kf}: {found}");
        }
        assert_eq!(found.get("online"), Some(&Bson::Boolean(online)));
        assert!(found.get_str("botEndpoint").is_ok() && found.get_str("name").is_ok());
        assert!(found.get("lastOnlineDate").is_some_and(|date| date.as_datetime().is_some()), "{found}");
    }
    assert_eq!(puppets.count_documents(doc! {}).await.unwrap(), 3, "none is written twice");
}
