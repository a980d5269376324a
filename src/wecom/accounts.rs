//! Which customer-service accounts a token may manage: the proof behind a registration.

use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use url::Url;

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

/// An account as `kf/account/list` shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedAccount {
    pub open_kfid: String,
    /// Whether the app may manage it.
    #[serde(default)]
    pub manage_privilege: bool,
}

/// One walk through the pages of a list.
struct Pages<'c> {
    client: &'c WecomClient,
    http: Client,
    access_token: &'c Secret,
    url: Url,
    call: Call,
    next: Option<usize>,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<ListedAccount>>, WecomError> {
        let Some(page) = self.next else { return Ok(None) };
        if page == PAGES {
            return Err(self.call.bad_answer("a list of accounts that does not end"));
        }
        let wanted = json!({ "offset": page * PAGE, "limit": PAGE });
        let request = self.http.post(self.url.clone()).json(&wanted);
        let answer: Page = self.client.call(request, &self.call, &[self.access_token.expose()]).await?;
        self.next = (answer.account_list.len() >= PAGE).then_some(page + 1);
        Ok(Some(answer.account_list))
    }
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
        let mut pages = self.account_pages(corp, access_token).await?;
        while let Some(page) = pages.next().await? {
            if let Some(found) = page.iter().find(|account| account.open_kfid == kf.as_str()) {
                return Ok(if found.manage_privilege { AccountAccess::Managed } else { AccountAccess::Listed });
            }
        }
        Ok(AccountAccess::NotListed)
    }

    /// All accounts of the corp that the token sees.
    pub async fn accounts(&self, corp: &CorpId, access_token: &Secret) -> Result<Vec<ListedAccount>, WecomError> {
        let mut pages = self.account_pages(corp, access_token).await?;
        let mut accounts = Vec::new();
        while let Some(page) = pages.next().await? {
            accounts.extend(page);
        }
        Ok(accounts)
    }

    async fn account_pages<'c>(&'c self, corp: &CorpId, access_token: &'c Secret) -> Result<Pages<'c>, WecomError> {
        let mut url = self.accounts_url.clone();
        url.query_pairs_mut().append_pair("access_token", access_token.expose());
        let call = Call {
            endpoint: "kf/account/list",
            api: Api::WithToken,
            host: host(&self.accounts_url),
            body_limit: PAGE_LIMIT,
        };
        let http = self.http(corp, &call).await?;
        Ok(Pages { client: self, http, access_token, url, call, next: Some(0) })
    }
}
