//! Which customer-service accounts a token may manage: the proof behind a registration.

use serde::Deserialize;
use serde_json::json;

use super::{Api, Call, WecomClient, WecomError, host};
use crate::domain::{CorpId, OpenKfId, Secret};

/// The most that WeCom lists at once.
const PAGE: usize = 100;
/// WeCom allows a corp 5,000 accounts; an upstream that never ends its list is no WeCom.
const PAGES: usize = 100;
/// A hundred accounts with the addresses of their pictures.
const PAGE_LIMIT: usize = 1024 * 1024;

/// What a token may do with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountAccess {
    /// It manages the account.
    Managed,
    /// It sees the account, which another app manages.
    Listed,
    /// It does not see the account.
    NotListed,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    account_list: Vec<ListedAccount>,
}

#[derive(Deserialize)]
struct ListedAccount {
    open_kfid: String,
    #[serde(default)]
    manage_privilege: bool,
}

impl WecomClient {
    /// Looks the corp's account up in all pages of `kf/account/list`. Where the app may not list accounts,
    /// the error is a refusal of [`Class::NotPermitted`](super::Class::NotPermitted).
    pub async fn account_access(
        &self,
        corp: &CorpId,
        access_token: &Secret,
        kf: &OpenKfId,
    ) -> Result<AccountAccess, WecomError> {
        let mut url = self.accounts_url.clone();
        url.query_pairs_mut().append_pair("access_token", access_token.expose());
        let call = Call {
            endpoint: "kf/account/list",
            api: Api::WithToken,
            host: host(&self.accounts_url),
            body_limit: PAGE_LIMIT,
        };
        let http = self.http(corp, &call).await?;
        for page in 0..PAGES {
            let wanted = json!({ "offset": page * PAGE, "limit": PAGE });
            let request = http.post(url.clone()).json(&wanted);
            let answer: Page = self.call(request, &call, &[access_token.expose()]).await?;
            if let Some(found) = answer.account_list.iter().find(|account| account.open_kfid == kf.as_str()) {
                return Ok(if found.manage_privilege { AccountAccess::Managed } else { AccountAccess::Listed });
            }
            if answer.account_list.len() < PAGE {
                return Ok(AccountAccess::NotListed);
            }
        }
        Err(call.bad_answer("a list of accounts that does not end"))
    }
}
