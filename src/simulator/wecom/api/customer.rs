//! `kf/customer/batchget` (document 95159): customers of the last 48 hours, 100 at most.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::world::{Corp, age};

const REMEMBERED: Duration = Duration::from_secs(48 * 3600);

#[derive(Deserialize)]
struct Request {
    external_userid_list: Vec<String>,
}

pub(super) fn batch(corp: &Corp, call: &Call) -> Result<Value, Refusal> {
    let request: Request = call.json()?;
    if request.external_userid_list.is_empty() || request.external_userid_list.len() > 100 {
        return Err(Refusal::new(errcode::BAD_PARAMETER, "external_userid_list must hold 1 to 100 ids"));
    }
    let is_known = |id: &String| {
        let states = corp.accounts.values().filter_map(|account| account.customers.get(id));
        states.filter_map(|state| state.seen_at).any(|at| age(at, call.now) < REMEMBERED)
    };
    let (known, unknown): (Vec<String>, Vec<String>) = request.external_userid_list.into_iter().partition(is_known);
    let customers: Vec<Value> = known
        .iter()
        .map(|id| json!({ "external_userid": id, "nickname": id, "avatar": "", "gender": 0, "unionid": "" }))
        .collect();
    Ok(json!({ "customer_list": customers, "invalid_external_userid": unknown }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::REMEMBERED;
    use crate::simulator::wecom::WecomOptions;
    use crate::simulator::wecom::testkit::wecom;

    #[tokio::test]
    async fn knows_who_came_within_48_hours() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.customer_writes_silently("ww1", "wk1", "writer", "hello");
        wecom.customer_enters("ww1", "wk1", "visitor");
        let ask = json!({ "external_userid_list": ["writer", "visitor", "nobody"] });
        let known = wecom.post("kf/customer/batchget", ask.clone()).await;
        assert_eq!(known["customer_list"].as_array().unwrap().len(), 2);
        assert_eq!(known["invalid_external_userid"], json!(["nobody"]));
        wecom.clock().advance(REMEMBERED);
        assert_eq!(wecom.post("kf/customer/batchget", ask).await["customer_list"], json!([]));
        assert_eq!(wecom.post("kf/customer/batchget", json!({ "external_userid_list": [] })).await["errcode"], 40058);
    }
}
