//! `/api/admin/corps`: which credentials open a corp's callbacks.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::info;
use url::Url;
use utoipa::ToSchema;

use super::Desk;
use crate::callback::Failure;
use crate::domain::{Action, Corp, CorpId, CorpSource, Fingerprint};
use crate::http::audit::{Act, Auditor};
use crate::http::body::Fields;
use crate::http::problem::Problem;
use crate::store::declaration::{self, Context, Faults};
use crate::store::{PuppetPages, Puppets, Store};

/// `PUBLIC_URL`, for the callback URLs shown.
#[derive(Debug, Clone)]
pub struct PublicUrl(pub Option<Url>);

impl PublicUrl {
    fn callback(&self, corp: &CorpId) -> String {
        let base = self.0.as_ref().map_or("", Url::as_str);
        format!("{}/callback/{corp}", base.trim_end_matches('/'))
    }
}

/// A corp, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CorpView {
    #[schema(example = "ww1234567890abcdef")]
    pub corp_id: String,
    pub source: SourceView,
    /// What to paste into WeCom's console; only the path where `PUBLIC_URL` is not set.
    #[schema(example = "https://wxkf.example.com/callback/ww1234567890abcdef")]
    pub callback_url: String,
    /// Empty: the pairs of its bots' registrations open its callbacks.
    pub credentials: Vec<CredentialView>,
    /// Whether its calls to WeCom go through a proxy of its own.
    pub has_wecom_proxy: bool,
    /// Bots whose pair is not among the credentials: they are sent decrypted events only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncovered_bots: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub updated_at: Option<String>,
    /// Its last callback that failed verification, if this replica saw one since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureView>,
}

/// A callback that failed verification, explained.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureView {
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub at: String,
    /// Whence it came: the address of the proxy, where one stands before the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "203.0.113.7")]
    pub from: Option<String>,
    /// The one input that is wrong: `token`, `aes-key`, `corp-id`, `url` or `body`.
    #[schema(example = "token")]
    pub wrong: String,
    #[schema(example = "the AES key opens the text, but the signature was made with another token")]
    pub what: String,
    #[serde(rename = "do")]
    #[schema(example = "copy Token from the console again, and press save there")]
    pub remedy: String,
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> Self {
        Self {
            at: failure.at.to_string(),
            from: failure.from.map(|address| address.to_string()),
            wrong: failure.cause.wrong().to_string(),
            what: failure.cause.what(),
            remedy: failure.cause.remedy(),
        }
    }
}

/// Who declared a corp.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceView {
    /// `CORPS_FILE`: read-only here.
    File,
    /// This API.
    Admin,
    /// Nobody; its bots registered.
    Registrations,
}

/// A credential, named without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialView {
    /// `PUT` takes `{"id"}` to keep it.
    #[schema(example = "3f2a9c0d1e4b5867")]
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Empty: the corp id alone.
    pub receive_ids: Vec<String>,
}

/// What `PUT` declares.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; it is read field by field, to name every wrong one")]
pub struct CorpBody {
    /// Several at once while credentials are rotated; tried in this order. Without any, the pairs of its bots'
    /// registrations open its callbacks.
    #[serde(default)]
    credentials: Vec<CredentialBody>,
    /// `http://[user:password@]host:port`: the proxy of this corp's calls to WeCom.
    #[schema(pattern = "^https?://", example = "http://proxy:3128")]
    wecom_proxy: Option<String>,
    /// Other services of the app by their names, all of them at once; without it those that are there stay.
    services: Option<BTreeMap<String, super::services::ServiceBody>>,
}

/// A new credential, or one to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum CredentialBody {
    New(NewCredential),
    Kept(KeptCredential),
}

/// A pair that opens callbacks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; it is read field by field, to name every wrong one")]
pub struct NewCredential {
    /// The Token of WeCom's callback configuration.
    #[schema(example = "QDG6eK", min_length = 1)]
    token: String,
    /// The EncodingAESKey of WeCom's callback configuration.
    #[serde(rename = "encodingAESKey")]
    #[schema(example = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", pattern = "^[A-Za-z0-9+/]{43}$")]
    encoding_aes_key: String,
    /// The receive ids that are accepted; without it the corp id alone.
    receive_ids: Option<Vec<String>>,
    /// For people.
    label: Option<String>,
}

/// A credential that the corp has already: its pair stays, and so does what is not named.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; it is read field by field, to name every wrong one")]
pub struct KeptCredential {
    /// As `GET` shows it.
    #[schema(example = "3f2a9c0d1e4b5867")]
    id: String,
    /// The receive ids that are accepted from now on.
    receive_ids: Option<Vec<String>>,
    /// For people.
    label: Option<String>,
}

/// A list of corps.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorpList {
    pub items: Vec<CorpView>,
}

/// List the corps
///
/// Declared ones, and those known by their bots' registrations alone.
#[utoipa::path(
    get, path = "/api/admin/corps", operation_id = "listCorps", tag = "Admin",
    responses(
        (status = 200, description = "All corps, by id", body = CorpList),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn list(State(desk): State<Arc<Desk>>) -> Result<Json<CorpList>, Problem> {
    Ok(Json(CorpList { items: desk.list_corps().await? }))
}

/// Show a corp
///
/// Without its secrets: each credential by its id. `lastFailure` says why its last callback was refused.
#[utoipa::path(
    get, path = "/api/admin/corps/{corpId}", operation_id = "getCorp", tag = "Admin",
    params(("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef")),
    responses(
        (status = 200, description = "The corp", body = CorpView),
        (status = 404, description = "Unknown corp"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn get(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Result<Json<CorpView>, Problem> {
    Ok(Json(desk.show_corp(&id).await?))
}

/// Declare a corp
///
/// Replaces its declaration as a whole. With at least one credential, only the declared ones open
/// its callbacks from now on; `uncoveredBots` names bots that registered with another pair.
#[utoipa::path(
    put, path = "/api/admin/corps/{corpId}", operation_id = "putCorp", tag = "Admin",
    params(("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef")),
    request_body(content = CorpBody),
    responses(
        (status = 200, description = "Declared", body = CorpView),
        (status = 400, description = "Every wrong field, named"),
        (status = 409, description = "`CORPS_FILE` declares it: change it there"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn put(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(id): Path<String>,
    Fields(fields): Fields,
) -> Result<Json<CorpView>, Problem> {
    let fields = fields.map_err(Problem::invalid);
    Ok(Json(desk.put_corp(&auditor, &id, Unnamed::Dropped, |_| fields).await?))
}

/// Withdraw a corp's declaration
///
/// From then on the pairs of its bots' registrations open its callbacks; without any it is unknown. Its
/// services, and what waits for them, go with it.
#[utoipa::path(
    delete, path = "/api/admin/corps/{corpId}", operation_id = "deleteCorp", tag = "Admin",
    params(("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef")),
    responses(
        (status = 204, description = "Withdrawn"),
        (status = 404, description = "Nobody declared this corp"),
        (status = 409, description = "`CORPS_FILE` declares it: change it there"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn delete(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    desk.delete_corp(&auditor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What becomes of a corp's credentials and proxy that a change does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unnamed {
    /// The change is the whole declaration.
    Dropped,
    /// The change is of one part, made by somebody who cannot see the secrets of the others.
    Kept,
}

impl Desk {
    pub async fn list_corps(&self) -> Result<Vec<CorpView>, Problem> {
        let declared = self.corps.corps().await?;
        let declared = declared.into_iter().map(|corp| (corp.id.clone(), view(&corp, &self.public_url, Vec::new())));
        let mut corps: BTreeMap<CorpId, CorpView> = declared.collect();
        for corp in registered_corps(self.store.as_ref()).await? {
            corps.entry(corp).or_insert_with_key(|corp| registrations_view(corp, &self.public_url));
        }
        Ok(corps.into_values().collect())
    }

    pub async fn show_corp(&self, id: &str) -> Result<CorpView, Problem> {
        let id = CorpId::parse(id).map_err(|_| unknown())?;
        let last_failure = self.callbacks.last_failure(&id).map(FailureView::from);
        if let Some(corp) = self.corps.corp(&id).await? {
            let uncovered = uncovered_bots(self.store.as_ref(), &corp).await?;
            return Ok(CorpView { last_failure, ..view(&corp, &self.public_url, uncovered) });
        }
        if self.store.pairs_of(&id).await?.is_empty() {
            return Err(unknown());
        }
        Ok(CorpView { last_failure, ..registrations_view(&id, &self.public_url) })
    }

    /// Declares the corp with the fields that `change` makes of what is declared now; nobody else changes
    /// it meanwhile.
    pub async fn put_corp(
        &self,
        auditor: &Auditor,
        id: &str,
        unnamed: Unnamed,
        change: impl FnOnce(Option<&Corp>) -> Result<Map<String, Value>, Problem> + Send,
    ) -> Result<CorpView, Problem> {
        let id = CorpId::parse(id).map_err(|error| Problem::invalid(format!("corpId {error}")))?;
        let _one_change = self.directory.one_change().await;
        let known = self.corps.corp(&id).await?;
        refuse_file(known.as_ref())?;
        let fields = change(known.as_ref())?;
        let mut faults = Faults::default();
        let (source, now) = (CorpSource::Admin, auditor.now());
        let context = Context { prefix: "", source, known: known.as_ref(), now, rules: &*self.rules };
        let mut corp = declaration::read_corp(id, &fields, &context, &mut faults);
        if !faults.is_empty() {
            return Err(Problem::from(&faults));
        }
        if let (Unnamed::Kept, Some(known)) = (unnamed, &known) {
            keep_unnamed(&mut corp, known, &fields);
        }
        super::services::refuse_denied(&self.services, &corp.services).await?;
        self.directory.put_corp(&corp).await?;
        super::services::tell(&self.services, known.as_ref(), &corp).await?;
        if let Some(changes) = changes::between(known.as_ref(), &corp) {
            auditor.record(Act::new(Action::CORP_PUT, &corp.id, changes)).await;
        }
        let uncovered = uncovered_bots(self.store.as_ref(), &corp).await?;
        let credentials = corp.credentials.len();
        info!(corp.id = %corp.id, credentials, uncovered_bots = ?uncovered, "a corp was declared");
        Ok(view(&corp, &self.public_url, uncovered))
    }

    pub async fn delete_corp(&self, auditor: &Auditor, id: &str) -> Result<(), Problem> {
        let id = CorpId::parse(id).map_err(|_| unknown())?;
        let _one_change = self.directory.one_change().await;
        let known = self.corps.corp(&id).await?;
        refuse_file(known.as_ref())?;
        if !self.directory.delete_corp(&id).await? {
            return Err(unknown());
        }
        if let Some(known) = &known {
            let without = Corp { services: Vec::new(), ..known.clone() };
            super::services::tell(&self.services, Some(known), &without).await?;
        }
        let detail = known.as_ref().map(changes::withdrawn).unwrap_or_default();
        auditor.record(Act::new(Action::CORP_DELETE, &id, detail)).await;
        info!(corp.id = %id, "a corp's declaration was withdrawn");
        Ok(())
    }
}

async fn registered_corps(store: &dyn Puppets) -> Result<BTreeSet<CorpId>, Problem> {
    let (mut corps, mut pages) = (BTreeSet::new(), PuppetPages::of(store, 1_000));
    while let Some(page) = pages.next().await? {
        corps.extend(page.into_iter().map(|puppet| puppet.corp_id));
    }
    Ok(corps)
}

fn keep_unnamed(corp: &mut Corp, known: &Corp, fields: &Map<String, Value>) {
    if !fields.contains_key("credentials") {
        corp.credentials.clone_from(&known.credentials);
    }
    if !fields.contains_key("wecomProxy") {
        corp.wecom_proxy.clone_from(&known.wecom_proxy);
    }
}

fn unknown() -> Problem {
    Problem::not_found("nobody declared this corp")
}

pub(super) fn refuse_file(corp: Option<&Corp>) -> Result<(), Problem> {
    match corp {
        Some(corp) if corp.source == CorpSource::File => {
            Err(Problem::read_only("CORPS_FILE declares this corp: change it there"))
        }
        _ => Ok(()),
    }
}

async fn uncovered_bots(store: &dyn Store, corp: &Corp) -> Result<Vec<String>, Problem> {
    if corp.credentials.is_empty() {
        return Ok(Vec::new());
    }
    let covered: BTreeSet<Fingerprint> =
        corp.credentials.iter().map(|credential| credential.pair.id().clone()).collect();
    let bots = store.puppets_of(&corp.id).await?;
    let uncovered = bots.into_iter().filter(|bot| bot.online && !covered.contains(bot.pair.id()));
    Ok(uncovered.map(|bot| bot.kf_id.to_string()).collect())
}

fn view(corp: &Corp, public_url: &PublicUrl, uncovered_bots: Vec<String>) -> CorpView {
    let credentials = corp.credentials.iter().map(|credential| CredentialView {
        id: credential.pair.id().to_string(),
        label: credential.label.clone(),
        receive_ids: credential.receive_ids.clone(),
    });
    CorpView {
        corp_id: corp.id.to_string(),
        source: match corp.source {
            CorpSource::File => SourceView::File,
            CorpSource::Admin => SourceView::Admin,
            CorpSource::Registrations => SourceView::Registrations,
        },
        callback_url: public_url.callback(&corp.id),
        credentials: credentials.collect(),
        has_wecom_proxy: corp.wecom_proxy.is_some(),
        uncovered_bots,
        updated_at: Some(corp.updated_at.to_string()),
        last_failure: None,
    }
}

fn registrations_view(id: &CorpId, public_url: &PublicUrl) -> CorpView {
    CorpView {
        corp_id: id.to_string(),
        source: SourceView::Registrations,
        callback_url: public_url.callback(id),
        credentials: Vec::new(),
        has_wecom_proxy: false,
        uncovered_bots: Vec::new(),
        updated_at: None,
        last_failure: None,
    }
}
