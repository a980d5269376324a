//! The original manager's documents: read as they are, and written so that it could go on with them.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use wxkf_gateway::domain::{Pair, Secret};
use wxkf_gateway::store::sealed::MasterKeys;

use super::{database, keys, open_with, raw};
use crate::harness::servers::MongoKind;
use crate::store::samples::{aes_key, at, corp_id, kf_id, puppet};

/// As mongoose writes it for a bot that registered.
fn original(kf: &str, token: &str) -> Document {
    doc! {
        "_id": ObjectId::new(), "botEndpoint": "http://bot:8080/", "name": "the bot", "kfOpenId": kf, "corpId": "ww1",
        "corpSecret": "secret", "token": token, "encodingAESKey": "C".repeat(43), "online": true, "__v": 0_i32,
    }
}

pub async fn its_documents_serve_at_once(kind: MongoKind) {
    let uri = database(kind).await;
    let bots = raw(&uri).await.collection::<Document>("wxkfpuppets");
    let mut gone = original("wk2", "t2");
    gone.extend(doc! { "online": false, "lastOnlineDate": DateTime::from_millis(at(9).as_millisecond()) });
    let broken = doc! { "kfOpenId": "wk3", "corpId": "ww1", "botEndpoint": "no address", "online": true };
    bots.insert_many([original("wk1", "t1"), gone, broken]).await.unwrap();
    let store = open_with(&uri, MasterKeys::none()).await.unwrap();

    let first = store.puppet(&kf_id("wk1")).await.unwrap().unwrap();
    assert_eq!((first.endpoint.as_str(), first.online, first.registered_at), ("http://bot:8080", true, None));
    let second = store.puppet(&kf_id("wk2")).await.unwrap().unwrap();
    assert_eq!((second.online, second.last_online_at), (false, Some(at(9))));
    assert!(store.puppet(&kf_id("wk3")).await.is_err());
    assert_eq!(store.puppets_of(&corp_id("ww1")).await, Ok(vec![first, second]));

    // Written while the gateway runs: the original changes the pair and knows nothing of our fields.
    bots.update_one(doc! { "kfOpenId": "wk1" }, doc! { "$set": { "token": "t9" } }).await.unwrap();
    bots.insert_one(original("wk4", "t4")).await.unwrap();
    let pairs = store.pairs_of(&corp_id("ww1")).await.unwrap();
    let mut tokens: Vec<&str> = pairs.iter().map(|pair| pair.token().expose()).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, ["t2", "t4", "t9"]);
}

pub async fn the_original_can_go_on_with_what_we_write(kind: MongoKind) {
    let uri = database(kind).await;
    let bots = raw(&uri).await.collection::<Document>("wxkfpuppets");
    let before = original("wk1", "t1");
    bots.insert_one(&before).await.unwrap();
    let store = open_with(&uri, MasterKeys::none()).await.unwrap();
    let ours = [puppet("ww1", "wk1"), puppet("ww1", "wk2")];
    for bot in &ours {
        store.put_puppet(bot).await.unwrap();
    }
    for bot in &ours {
        let found = bots.find_one(doc! { "kfOpenId": bot.kf_id.as_str() }).await.unwrap().unwrap();
        let text = |field: &str| found.get_str(field).unwrap();
        assert_eq!(text("botEndpoint"), "http://bot:8080/base");
        assert_eq!((text("name"), text("corpId")), ("客服 'one'", "ww1"));
        assert_eq!((text("corpSecret"), text("token")), ("seeded-corp-secret", "seeded-bot-token"));
        assert_eq!(text("encodingAESKey"), "C".repeat(43));
        assert!(found.get_bool("online").unwrap());
        assert_eq!(found.get_datetime("lastOnlineDate").unwrap().timestamp_millis(), at(2).as_millisecond());
        assert!(found.get_object_id("_id").is_ok());
        assert!(matches!(found.get("__v"), Some(Bson::Int32(0) | Bson::Int64(0))), "{found}");
    }
    let kept = bots.find_one(doc! { "kfOpenId": "wk1" }).await.unwrap().unwrap();
    assert_eq!(kept.get("_id"), before.get("_id"));
    let twice = bots.insert_one(original("wk2", "t")).await;
    assert!(twice.is_err(), "a kf id has one document");
}

/// A large corp's pairs are found by their ids: also where the original wrote documents meanwhile, or
/// where one bot's secrets are unreadable.
pub async fn pairs_of_a_large_corp(kind: MongoKind) {
    let uri = database(kind).await;
    let store = open_with(&uri, keys(&[&MasterKeys::generate(), &Secret::new("plain")])).await.unwrap();
    for n in 0..40 {
        let mut bot = puppet("ww1", &format!("wk{n:02}"));
        bot.pair = Pair::new(Secret::new(if n % 2 == 0 { "even" } else { "odd" }), aes_key('A'));
        bot.registered_at = Some(at(n));
        store.put_puppet(&bot).await.unwrap();
    }
    let tokens = async || -> Vec<String> {
        let pairs = store.pairs_of(&corp_id("ww1")).await.unwrap();
        pairs.iter().map(|pair| pair.token().expose().to_owned()).collect()
    };
    assert_eq!(tokens().await, ["odd", "even"], "the latest registered first");
    let bots = raw(&uri).await.collection::<Document>("wxkfpuppets");
    bots.insert_one(original("wk99", "of the original")).await.unwrap();
    let damage = doc! { "$set": { "token": "v1.0123456789abcdef.AAAA" } };
    bots.update_one(doc! { "kfOpenId": "wk39" }, damage).await.unwrap();
    assert!(store.pairs_of(&corp_id("ww1")).await.is_err(), "a key that is missing is told");
    bots.update_one(doc! { "kfOpenId": "wk39" }, doc! { "$set": { "token": 7 } }).await.unwrap();
    assert_eq!(tokens().await, ["even", "odd", "of the original"]);
}
