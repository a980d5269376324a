//! `/simulator/*`: everything that a handle can do, by HTTP, for programs in other languages. The
//! routes and their OpenAPI document come from one list.
//!
//! Unlike the handle, which makes whatever a test names, these routes refuse unknown corps and
//! accounts: a slip in a script should show at once.

mod corps;
mod faults;
mod talk;
mod time;

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;

/// The document's head.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Simulated WeCom",
        description = "Scripts the simulated WeCom: corps, customers, faults, time. WeCom's own APIs are \
            below `/cgi-bin/`, as WeCom documents them.",
        contact(),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "Set up", description = "Corps with their apps and accounts"),
        (name = "Talk", description = "Customers, and what else makes WeCom call"),
        (name = "Faults", description = "What goes wrong, on request"),
        (name = "Time", description = "What happened, and the clock"),
    ),
)]
struct Head;

fn described() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(corps::put))
        .routes(routes!(corps::revoke_tokens))
        .routes(routes!(talk::write))
        .routes(routes!(talk::answers))
        .routes(routes!(talk::send_event))
        .routes(routes!(talk::verify))
        .routes(routes!(faults::list, faults::add, faults::clear))
        .routes(routes!(time::journal))
        .routes(routes!(time::advance))
}

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    let (router, document) = described().split_for_parts();
    router.route("/simulator/openapi.json", get(move || async move { Json(document) })).with_state(shared)
}

type Sim = State<Arc<Shared>>;

/// A request that makes no sense here, told in words.
#[derive(Debug)]
struct Refused(StatusCode, String);

impl Refused {
    fn unknown(what: &str, name: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no {what} {name:?}: see POST /simulator/corps"))
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl Shared {
    fn knows_corp(&self, corp: &str) -> Result<(), Refused> {
        let known = self.world.lock().corps.contains_key(corp);
        if known { Ok(()) } else { Err(Refused::unknown("corp", corp)) }
    }

    fn knows_account(&self, corp: &str, open_kf_id: &str) -> Result<(), Refused> {
        self.knows_corp(corp)?;
        let world = self.world.lock();
        let known = world.corps.get(corp).is_some_and(|corp| corp.accounts.contains_key(open_kf_id));
        if known { Ok(()) } else { Err(Refused::unknown("account", open_kf_id)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::simulator::wecom::testkit::{AES_KEY, http};
    use crate::simulator::wecom::{Wecom, WecomOptions};

    struct Script(Wecom);

    impl Script {
        async fn start() -> Self {
            Self(Wecom::start(WecomOptions::default()).await.unwrap())
        }

        async fn post(&self, path: &str, body: Value) -> (u16, Value) {
            let url = format!("{}/simulator/{path}", self.0.base_url());
            let answer = http().post(url).json(&body).send().await.unwrap();
            let status = answer.status().as_u16();
            (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
        }

        async fn get(&self, path: &str) -> Value {
            http().get(format!("{}/simulator/{path}", self.0.base_url())).send().await.unwrap().json().await.unwrap()
        }
    }

    #[tokio::test]
    async fn scripts_a_conversation() {
        let script = Script::start().await;
        let corp =
            json!({ "corp": "ww1", "secrets": ["s1"], "accounts": ["wk1"], "token": "T", "encodingAESKey": AES_KEY });
        assert_eq!(script.post("corps", corp).await.0, 204);
        let message = json!({ "corp": "ww1", "openKfId": "wk1", "customer": "c", "text": "hello" });
        assert_eq!(script.post("messages", message).await, (200, json!({ "delivery": "no_callback_url" })));
        assert_eq!(
            script.post("verify", json!({ "corp": "ww1" })).await.1,
            json!({ "verification": "no_callback_url" })
        );
        let token = script.0.access_token().await;
        let revoked = json!({ "corp": "ww1" });
        assert_eq!(script.post("tokens/revoke", revoked).await.0, 204);
        assert_eq!(script.0.get(&format!("kf/account/list?access_token={token}")).await["errcode"], 40014);
        script
            .0
            .post(
                "kf/send_msg",
                json!({ "touser": "c", "open_kfid": "wk1", "msgtype": "text", "text": { "content": "hi" } }),
            )
            .await;
        assert_eq!(script.get("answers?customer=c").await[0]["text"], "hi");
        let journal = script.get("journal?after=1").await;
        assert_eq!(journal[0]["number"], 2);
        assert!(
            journal
                .as_array()
                .unwrap()
                .iter()
                .any(|entry| entry["why"].as_str().is_some_and(|why| why.contains("revoked")))
        );
    }

    #[tokio::test]
    async fn scripts_faults_and_time() {
        let script = Script::start().await;
        script.0.corp("ww1").secret("s1");
        let rule = json!({ "target": { "api": "get_token" }, "fault": { "errcode": -1 }, "when": { "next": 1 } });
        assert_eq!(script.post("faults", rule).await.0, 204);
        assert_eq!(script.get("faults").await[0]["fault"]["errcode"], -1);
        assert_eq!(script.0.get("gettoken?corpid=ww1&corpsecret=s1").await["errcode"], -1);
        assert_eq!(script.get("faults").await, json!([]));
        let token = script.0.access_token().await;
        assert_eq!(script.post("clock", json!({ "advanceSeconds": 7200 })).await.0, 200);
        assert_eq!(script.0.get(&format!("getcallbackip?access_token={token}")).await["errcode"], 42001);
    }

    #[tokio::test]
    async fn refuses_slips_in_words() {
        let script = Script::start().await;
        script.0.corp("ww1").account("wk1");
        let cases = [
            ("messages", json!({ "corp": "ww2", "openKfId": "wk1", "customer": "c", "text": "" }), 404, "ww2"),
            ("messages", json!({ "corp": "ww1", "openKfId": "wk2", "customer": "c", "text": "" }), 404, "wk2"),
            ("messages", json!({ "corp": "ww1" }), 422, "openKfId"),
            ("corps", json!({ "corp": "ww1", "token": "T" }), 400, "encodingAESKey"),
            ("corps", json!({ "corp": "ww1", "token": "T", "encodingAESKey": "short" }), 400, "encodingAESKey"),
            ("corps", json!({ "corp": "ww1", "secret": "s1" }), 422, "secret"),
            ("faults", json!({ "target": "nonsense", "fault": "drop", "when": "always" }), 422, "target"),
            ("verify", json!({ "corp": "ww2" }), 404, "ww2"),
            ("tokens/revoke", json!({ "corp": "ww2" }), 404, "ww2"),
            ("events", json!({ "corp": "ww1" }), 400, "event"),
        ];
        for (path, body, status, named) in cases {
            let (got, answer) = script.post(path, body).await;
            assert_eq!(got, status, "{path}: {answer}");
            assert!(answer["error"].as_str().unwrap().contains(named), "{path}: {answer}");
        }
    }

    #[tokio::test]
    async fn describes_every_route() {
        let document = Script::start().await.get("openapi.json").await;
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 9);
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            }
        }
    }
}
