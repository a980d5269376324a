//! Corps, their apps and accounts.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Refused, Sim};
use crate::simulator::wecom::seal::Credential;
use crate::simulator::wecom::world::KfAccount;

/// What is added to a corp, or changed.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewCorp {
    corp: String,
    /// One app each.
    #[serde(default)]
    secrets: Vec<String>,
    /// Customer service accounts.
    #[serde(default)]
    accounts: Vec<String>,
    /// Seals the callbacks, together with `encodingAESKey`.
    token: Option<String>,
    #[serde(rename = "encodingAESKey")]
    aes_key: Option<String>,
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
    let mut world = shared.world.lock();
    let corp = world.corps.entry(new.corp).or_default();
    for secret in new.secrets {
        corp.apps.entry(secret).or_default();
    }
    for id in new.accounts {
        let name = format!("account {id}");
        corp.accounts.entry(id).or_insert(KfAccount { name, manage_privilege: true, ..KfAccount::default() });
    }
    corp.credential = credential.or(corp.credential.take());
    corp.callback_url = new.callback_url.or(corp.callback_url.take());
    Ok(StatusCode::NO_CONTENT)
}

fn credential(new: &NewCorp) -> Result<Option<Credential>, Refused> {
    let bad = |text: String| Refused(StatusCode::BAD_REQUEST, text);
    match (&new.token, &new.aes_key) {
        (None, None) => Ok(None),
        (Some(token), Some(key)) => {
            let credential = Credential::new(&new.corp, token, key);
            credential.map(Some).map_err(|error| bad(format!("encodingAESKey {error}")))
        }
        _ => Err(bad("token and encodingAESKey go together".to_owned())),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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
    Ok(StatusCode::NO_CONTENT)
}
