//! `kf/service_state/get` and `kf/service_state/trans` (document 94669): who answers the customer.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::world::{Corp, CustomerState, World, later};

/// 0 new, 1 the bot, 2 waiting for a person, 3 a person, 4 ended.
const PERSON: i64 = 3;
pub(super) const ENDED: i64 = 4;
/// A code to say goodbye or "please wait" with lives 48 hours (document 95122).
const CODE_LIFE: std::time::Duration = std::time::Duration::from_secs(48 * 3600);

#[derive(Deserialize)]
struct Request {
    open_kfid: String,
    external_userid: String,
    service_state: Option<i64>,
    servicer_userid: Option<String>,
}

pub(super) fn get(corp: &mut Corp, call: &Call) -> Result<Value, Refusal> {
    let request: Request = call.json()?;
    let state = state_of(corp, &request)?;
    let mut answer = json!({ "service_state": state.service_state });
    if let Some(servicer) = &state.servicer {
        answer["servicer_userid"] = json!(servicer);
    }
    Ok(answer)
}

/// The table of document 94669, which wechatpy quotes: the bot may hand over, a person may end, and an
/// ended session waits for the customer to write again.
pub(super) fn transfer(world: &mut World, corp_id: &str, call: &Call) -> Result<Value, Refusal> {
    let request: Request = call.json()?;
    let code = world.identifier(43);
    let corp = world.corp(corp_id)?;
    let state = state_of(corp, &request)?;
    let wanted = request.service_state.unwrap_or_default();
    let allowed = match state.service_state {
        0 => matches!(wanted, 1..=PERSON),
        1 => matches!(wanted, 2..=PERSON),
        2 => wanted == PERSON,
        PERSON => wanted == ENDED,
        _ => false,
    };
    if !allowed {
        let why = format!("not from state {} to {wanted}", state.service_state);
        return Err(Refusal::new(errcode::STATE_NOT_ALLOWED, why));
    }
    if wanted == PERSON && request.servicer_userid.as_deref().unwrap_or_default().is_empty() {
        return Err(Refusal::new(errcode::BAD_PARAMETER, "state 3 needs servicer_userid"));
    }
    state.service_state = wanted;
    state.servicer = request.servicer_userid.filter(|_| wanted == PERSON);
    let until = later(call.now, CODE_LIFE);
    corp.account(&request.open_kfid)?.event_codes.insert(code.clone(), (request.external_userid, until));
    Ok(json!({ "msg_code": code }))
}

fn state_of<'a>(corp: &'a mut Corp, request: &Request) -> Result<&'a mut CustomerState, Refusal> {
    let state = corp.account(&request.open_kfid)?.customers.get_mut(&request.external_userid);
    state.ok_or_else(|| Refusal::new(errcode::BAD_PARAMETER, "no session with this external_userid"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::simulator::wecom::WecomOptions;
    use crate::simulator::wecom::testkit::wecom;

    #[tokio::test]
    async fn moves_forward_only() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.customer_writes_silently("ww1", "wk1", "customer", "hello");
        let to = |state: i64| json!({ "open_kfid": "wk1", "external_userid": "customer", "service_state": state, "servicer_userid": "zhangsan" });
        for (state, code) in [(4, 95016), (1, 0), (0, 95016), (3, 0), (1, 95016), (4, 0), (3, 95016)] {
            assert_eq!(wecom.post("kf/service_state/trans", to(state)).await["errcode"], code, "to {state}");
        }
        let now = wecom.post("kf/service_state/get", to(0)).await;
        assert_eq!(now["service_state"], 4);
        wecom.customer_writes_silently("ww1", "wk1", "customer", "one more thing");
        assert_eq!(wecom.post("kf/service_state/get", to(0)).await["service_state"], 0);
        let known = wecom.post("kf/customer/batchget", json!({ "external_userid_list": ["customer", "nobody"] })).await;
        assert_eq!(known["customer_list"][0]["external_userid"], "customer");
        assert_eq!(known["invalid_external_userid"], json!(["nobody"]));
    }
}
