//! What there is, without a secret: what the page draws, and what a script looks up.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Sim;
use crate::simulator::wecom::Rule;
use crate::simulator::wecom::world::{Corp, Issued, KfAccount};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateOfAll {
    /// Another one after a restart, when journals count from 1 again.
    run: String,
    /// RFC 3339, by the simulator's clock.
    now: String,
    seed: u64,
    corps: Vec<CorpState>,
    faults: Vec<Rule>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CorpState {
    corp: String,
    callback_url: Option<String>,
    /// Whether callbacks can be sealed: token and `EncodingAESKey` are known.
    has_credential: bool,
    apps: usize,
    /// Access tokens that are good now.
    live_tokens: usize,
    /// Those that were revoked ahead of their time.
    revoked_tokens: usize,
    /// Empty: everybody may call.
    trusted_addresses: Vec<String>,
    accounts: Vec<AccountState>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AccountState {
    open_kf_id: String,
    name: String,
    manage_privilege: bool,
    customers: Vec<CustomerView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerView {
    customer: String,
    /// Of the five that may follow each of the customer's messages.
    answers: usize,
    service_state: i64,
}

/// What there is: corps, accounts, customers, faults
#[utoipa::path(
    get, path = "/simulator/state", operation_id = "state", tag = "Set up",
    responses((status = 200, description = "Without secrets", body = StateOfAll)),
)]
pub(super) async fn state(State(shared): Sim) -> Json<StateOfAll> {
    let now = shared.options.clock.now();
    let world = shared.world.lock();
    let tokens = |id: &str| {
        let of_corp = world.tokens.values().filter(|token| token.corp == id && token.expires_at > now);
        let (revoked, live): (Vec<&Issued>, Vec<&Issued>) = of_corp.partition(|token| token.revoked);
        (live.len(), revoked.len())
    };
    let corps = world.corps.iter().map(|(id, corp)| corp_state(id, corp, tokens(id))).collect();
    Json(StateOfAll {
        run: shared.started.as_millisecond().to_string(),
        now: format!("{now:.3}"),
        seed: shared.options.seed,
        corps,
        faults: shared.faults.lock().rules(),
    })
}

fn corp_state(id: &str, corp: &Corp, (live_tokens, revoked_tokens): (usize, usize)) -> CorpState {
    let mut trusted: Vec<String> =
        corp.apps.values().flat_map(|app| &app.trusted).map(std::string::ToString::to_string).collect();
    trusted.dedup();
    CorpState {
        corp: id.to_owned(),
        callback_url: corp.callback_url.clone(),
        has_credential: corp.credential.is_some(),
        apps: corp.apps.len(),
        live_tokens,
        revoked_tokens,
        trusted_addresses: trusted,
        accounts: corp.accounts.iter().map(|(id, account)| account_state(id, account)).collect(),
    }
}

fn account_state(id: &str, account: &KfAccount) -> AccountState {
    let customers = account.customers.iter().map(|(id, state)| CustomerView {
        customer: id.clone(),
        answers: state.answers,
        service_state: state.service_state,
    });
    AccountState {
        open_kf_id: id.to_owned(),
        name: account.name.clone(),
        manage_privilege: account.manage_privilege,
        customers: customers.collect(),
    }
}
