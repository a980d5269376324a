//! `kf/customer/batchget` (document 95159): customers of the last 48 hours, 100 at most.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::world::Corp;

#[derive(Deserialize)]
struct Request {
    external_userid_list: Vec<String>,
}

pub(super) fn batch(corp: &Corp, call: &Call) -> Result<Value, Refusal> {
    let request: Request = call.json()?;
    if request.external_userid_list.is_empty() || request.external_userid_list.len() > 100 {
        return Err(Refusal::new(errcode::BAD_PARAMETER, "external_userid_list must hold 1 to 100 ids"));
    }
    let is_known = |id: &String| corp.accounts.values().any(|account| account.customers.contains_key(id));
    let (known, unknown): (Vec<String>, Vec<String>) = request.external_userid_list.into_iter().partition(is_known);
    let customers: Vec<Value> = known
        .iter()
        .map(|id| json!({ "external_userid": id, "nickname": id, "avatar": "", "gender": 0, "unionid": "" }))
        .collect();
    Ok(json!({ "customer_list": customers, "invalid_external_userid": unknown }))
}
