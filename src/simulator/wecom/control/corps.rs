//! Corps, their apps and accounts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Refused, Sim};
use crate::simulator::wecom::seal::Credential;
use crate::simulator::wecom::world::{Corp, KfAccount};

/// What is added to a corp, or changed.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "corp": "ww_another", "secrets": ["another-secret"], "accounts": ["wk_another"] }))]
pub(super) struct NewCorp {
    corp: String,
    /// One app each.
    #[serde(default)]
    secrets: Vec<String>,
    /// The same without the customer service APIs: they answer 48002.
    #[serde(default)]
    secrets_without_kf: Vec<String>,
    /// From where the corp's apps may call, when not from everywhere: others get 60020. An empty list
    /// lifts it.
    #[schema(value_type = Option<Vec<String>>)]
    trusted_addresses: Option<BTreeSet<IpAddr>>,
    /// Customer service accounts.
    #[serde(default)]
    accounts: Vec<String>,
    /// The same without `manage_privilege`: the corp's apps may not work for them.
    #[serde(default)]
    unmanaged_accounts: Vec<String>,
    /// Seals the callbacks, together with `encodingAESKey`.
    token: Option<String>,
    #[serde(rename = "encodingAESKey")]
    aes_key: Option<String>,
    /// For whom callbacks are sealed: the corp id, unless it is a suite's or a provider's.
    receive_id: Option<String>,
    callback_url: Option<String>,
}

/// Create or change a corp
///
/// What is given is added, or takes the place of what was; what is left out stays.
#[utoipa::path(
    post, path = "/simulator/corps", operation_id = "putCorp", tag = "Set up",
    responses((status = 204, description = "Done"), (status = 400, description = "What is wrong, in words")),
)]
pub(super) async fn put(State(shared): Sim, body: Result<Json<NewCorp>, JsonRejection>) -> Result<StatusCode, Refused> {
    let Json(new) = body?;
    let credential = credential(&new)?;
    shared.tell(format!("corp {} is set up", new.corp));
    let mut world = shared.world.lock();
    let corp = world.corps.entry(new.corp.clone()).or_default();
    corp.credential = credential.or(corp.credential.take());
    change(corp, new);
    Ok(StatusCode::NO_CONTENT)
}

fn change(corp: &mut Corp, new: NewCorp) {
    for (secrets, kf_granted) in [(new.secrets, true), (new.secrets_without_kf, false)] {
        for secret in secrets {
            corp.apps.entry(secret).or_default().kf_granted = kf_granted;
        }
    }
    if let Some(trusted) = new.trusted_addresses {
        corp.apps.values_mut().for_each(|app| app.trusted.clone_from(&trusted));
    }
    for (accounts, manage_privilege) in [(new.accounts, true), (new.unmanaged_accounts, false)] {
        for id in accounts {
            let account = corp.accounts.entry(id).or_insert_with_key(|id| KfAccount::named(&format!("account {id}")));
            account.manage_privilege = manage_privilege;
        }
    }
    corp.callback_url = new.callback_url.or(corp.callback_url.take());
}

fn credential(new: &NewCorp) -> Result<Option<Credential>, Refused> {
    let bad = |text: String| Refused(StatusCode::BAD_REQUEST, text);
    match (&new.token, &new.aes_key) {
        (None, None) => Ok(None),
        (Some(token), Some(key)) => {
            let credential = Credential::new(new.receive_id.as_ref().unwrap_or(&new.corp), token, key);
            credential.map(Some).map_err(|error| bad(format!("encodingAESKey {error}")))
        }
        _ => Err(bad("token and encodingAESKey go together".to_owned())),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "corp": "ww_simulated" }))]
pub(super) struct OneCorp {
    pub corp: String,
}

/// Revoke every access token of a corp
#[utoipa::path(
    post, path = "/simulator/tokens/revoke", operation_id = "revokeTokens", tag = "Set up",
    responses((status = 204, description = "Done"), (status = 404, description = "No such corp")),
)]
pub(super) async fn revoke_tokens(
    State(shared): Sim,
    body: Result<Json<OneCorp>, JsonRejection>,
) -> Result<StatusCode, Refused> {
    let Json(OneCorp { corp }) = body?;
    shared.knows_corp(&corp)?;
    shared.revoke_tokens(&corp);
    shared.tell(format!("every access token of {corp} is revoked"));
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "corp": "ww_simulated", "old": "simulated-secret", "new": "another-secret" }))]
pub(super) struct NewSecret {
    corp: String,
    old: String,
    new: String,
}

/// Reset the secret of an app
///
/// The old secret and its access tokens are refused from now on.
#[utoipa::path(
    post, path = "/simulator/secrets/reset", operation_id = "resetSecret", tag = "Set up",
    responses((status = 204, description = "Done"), (status = 404, description = "No such corp")),
)]
pub(super) async fn reset_secret(
    State(shared): Sim,
    body: Result<Json<NewSecret>, JsonRejection>,
) -> Result<StatusCode, Refused> {
    let Json(NewSecret { corp, old, new }) = body?;
    shared.knows_corp(&corp)?;
    shared.reset_secret(&corp, &old, &new);
    shared.tell(format!("a secret of {corp} is reset"));
    Ok(StatusCode::NO_CONTENT)
}
