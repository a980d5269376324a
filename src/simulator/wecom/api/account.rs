//! `kf/account/list` (document 94661).

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::world::Corp;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    offset: usize,
    #[serde(default = "most")]
    limit: usize,
}

const fn most() -> usize {
    100
}

/// Without a body the first 100; `limit` is at most 100.
pub(super) fn list(corp: &Corp, call: &Call) -> Result<Value, Refusal> {
    let page = if call.body.is_empty() { Page { offset: 0, limit: most() } } else { call.json()? };
    if page.limit == 0 || page.limit > most() {
        return Err(Refusal::new(errcode::BAD_PARAMETER, "limit must be 1 to 100"));
    }
    let accounts: Vec<Value> = corp
        .accounts
        .iter()
        .skip(page.offset)
        .take(page.limit)
        .map(|(id, account)| {
            json!({ "open_kfid": id, "name": account.name, "avatar": "", "manage_privilege": account.manage_privilege })
        })
        .collect();
    Ok(json!({ "account_list": accounts }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::simulator::wecom::WecomOptions;
    use crate::simulator::wecom::testkit::wecom;

    #[tokio::test]
    async fn lists_in_pages_with_the_privilege() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.corp("ww1").unmanaged_account("wk2").account("wk3");
        let page = wecom.post("kf/account/list", json!({ "offset": 1, "limit": 1 })).await;
        assert_eq!(page["account_list"][0]["open_kfid"], "wk2");
        assert_eq!(page["account_list"][0]["manage_privilege"], false);
        assert_eq!(page["account_list"].as_array().unwrap().len(), 1);
        let end = wecom.post("kf/account/list", json!({ "offset": 3, "limit": 100 })).await;
        assert_eq!(end["account_list"], json!([]));
        assert_eq!(wecom.post("kf/account/list", json!({ "limit": 101 })).await["errcode"], 40058);
    }
}
