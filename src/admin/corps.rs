//! `/api/admin/corps`: which credentials open a corp's callbacks.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tracing::info;
use url::Url;
use utoipa::ToSchema;

use crate::callback::{Callbacks, Failure};
use crate::domain::{Action, Corp, CorpId, CorpSource, Fingerprint};
use crate::http::audit::{Act, Auditor};
use crate::http::body::Fields;
use crate::http::problem::Problem;
use crate::services::Services;
use crate::store::declaration::{self, Context, Faults, ServiceRules};
use crate::store::{Corps, Directory, Store};

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
    corp_id: String,
    source: SourceView,
    /// What to paste into WeCom's console; only the path where `PUBLIC_URL` is not set.
    #[schema(example = "https://wxkf.example.com/callback/ww1234567890abcdef")]
    callback_url: String,
    /// Empty: the pairs of its bots' registrations open its callbacks.
    credentials: Vec<CredentialView>,
    /// Whether its calls to WeCom go through a proxy of its own.
    has_wecom_proxy: bool,
    /// Bots whose pair is not among the credentials: they are sent decrypted events only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uncovered_bots: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31T12:00:00Z")]
    updated_at: Option<String>,
    /// Its last callback that failed verification, if this replica saw one since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<FailureView>,
}

/// A callback that failed verification, explained.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureView {
    #[schema(example = "2026-01-31T12:00:00Z")]
    at: String,
    /// Whence it came: the address of the proxy, where one stands before the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "203.0.113.7")]
    from: Option<String>,
    /// The one input that is wrong: `token`, `aes-key`, `corp-id`, `url` or `body`.
    #[schema(example = "token")]
    wrong: String,
    #[schema(example = "the AES key opens the text, but the signature was made with another token")]
    what: String,
    #[serde(rename = "do")]
    #[schema(example = "copy Token from the console again, and press save there")]
    remedy: String,
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
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Empty: the corp id alone.
    receive_ids: Vec<String>,
}

/// What `PUT` declares.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; it is read field by field, to name every wrong one")]
pub struct CorpBody {
    /// Several at once while credentials are rotated; tried in this order.
    credentials: Vec<CredentialBody>,
    /// `http://[user:password@]host:port`: the proxy of this corp's calls to WeCom.
    wecom_proxy: Option<String>,
    /// Other services of the app by their names, all of them at once; without it those that are there stay.
    services: Option<BTreeMap<String, super::services::ServiceBody>>,
}

/// A credential: `{token, encodingAESKey, receiveIds?, label?}`, or `{id, receiveIds?, label?}` to keep the
/// pair of a known one.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; it is read field by field, to name every wrong one")]
pub struct CredentialBody {
    /// Keeps the credential that has this id.
    id: Option<String>,
    /// The Token of WeCom's callback configuration.
    #[schema(example = "QDG6eK")]
    token: Option<String>,
    /// The EncodingAESKey of WeCom's callback configuration.
    #[serde(rename = "encodingAESKey")]
    #[schema(example = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C")]
    encoding_aes_key: Option<String>,
    /// The receive ids that are accepted; without it the corp id alone.
    #[serde(rename = "receiveIds")]
    receive_ids: Option<Vec<String>>,
    /// For people.
    label: Option<String>,
}

/// A list of corps.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorpList {
    items: Vec<CorpView>,
}

/// List the corps
///
/// Declared ones, and those known by their bots' registrations alone.
#[utoipa::path(
    get, path = "/api/admin/corps", operation_id = "listCorps", tag = "Admin",
    responses(
        (status = 200, description = "All corps, by id", body = CorpList),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn list(
    State(corps): State<Arc<dyn Corps>>,
    State(store): State<Arc<dyn Store>>,
    State(public_url): State<PublicUrl>,
) -> Result<Json<CorpList>, Problem> {
    let declared = corps.corps().await?.into_iter().map(|corp| (corp.id.clone(), view(&corp, &public_url, Vec::new())));
    let mut items: BTreeMap<CorpId, CorpView> = declared.collect();
    for corp in registered_corps(store.as_ref()).await? {
        items.entry(corp).or_insert_with_key(|corp| registrations_view(corp, &public_url));
    }
    Ok(Json(CorpList { items: items.into_values().collect() }))
}

async fn registered_corps(store: &dyn Store) -> Result<BTreeSet<CorpId>, Problem> {
    const PAGE: usize = 1000;
    let mut corps = BTreeSet::new();
    let mut after = None;
    loop {
        let page = store.puppets(after.as_ref(), PAGE).await?;
        after = page.last().map(|puppet| puppet.kf_id.clone());
        let last = page.len() < PAGE;
        corps.extend(page.into_iter().map(|puppet| puppet.corp_id));
        if last {
            return Ok(corps);
        }
    }
}

/// Show a corp
///
/// Without its secrets: each credential by its id. `lastFailure` says why its last callback was refused.
#[utoipa::path(
    get, path = "/api/admin/corps/{corpId}", operation_id = "getCorp", tag = "Admin",
    params(("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef")),
    responses(
        (status = 200, description = "The corp", body = CorpView),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown corp", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn get(
    State(corps): State<Arc<dyn Corps>>,
    State(store): State<Arc<dyn Store>>,
    State(public_url): State<PublicUrl>,
    State(callbacks): State<Arc<Callbacks>>,
    Path(id): Path<String>,
) -> Result<Json<CorpView>, Problem> {
    let id = CorpId::parse(&id).map_err(|_| unknown())?;
    let last_failure = callbacks.last_failure(&id).map(FailureView::from);
    if let Some(corp) = corps.corp(&id).await? {
        let uncovered = uncovered_bots(store.as_ref(), &corp).await?;
        return Ok(Json(CorpView { last_failure, ..view(&corp, &public_url, uncovered) }));
    }
    if store.pairs_of(&id).await?.is_empty() {
        return Err(unknown());
    }
    Ok(Json(CorpView { last_failure, ..registrations_view(&id, &public_url) }))
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
        (status = 400, description = "Every wrong field, named", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`CORPS_FILE` declares it: change it there", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
#[expect(clippy::too_many_arguments, reason = "each is a part that the handler asks the state for")]
pub async fn put(
    State(corps): State<Arc<dyn Corps>>,
    State(store): State<Arc<dyn Store>>,
    State(directory): State<Arc<Directory>>,
    State(public_url): State<PublicUrl>,
    State(rules): State<Arc<dyn ServiceRules>>,
    State(services): State<Services>,
    auditor: Auditor,
    Path(id): Path<String>,
    Fields(fields): Fields,
) -> Result<Json<CorpView>, Problem> {
    let id = CorpId::parse(&id).map_err(|error| Problem::invalid(format!("corpId {error}")))?;
    let _one_change = directory.one_change().await;
    let known = corps.corp(&id).await?;
    refuse_file(known.as_ref())?;
    let fields = fields.map_err(Problem::invalid)?;
    let mut faults = Faults::default();
    let (source, now) = (CorpSource::Admin, auditor.now());
    let context = Context { prefix: "", source, known: known.as_ref(), now, rules: &*rules };
    let corp = declaration::read_corp(id, &fields, &context, &mut faults);
    if !faults.is_empty() {
        return Err(Problem::from(&faults));
    }
    super::services::refuse_denied(&services, &corp.services).await?;
    directory.put_corp(&corp).await?;
    super::services::tell(&services, known.as_ref(), &corp).await?;
    if let Some(changes) = changes::between(known.as_ref(), &corp) {
        auditor.record(Act::new(Action::CORP_PUT, &corp.id, changes)).await;
    }
    let uncovered = uncovered_bots(store.as_ref(), &corp).await?;
    info!(corp.id = %corp.id, credentials = corp.credentials.len(), uncovered_bots = ?uncovered, "a corp was declared");
    Ok(Json(view(&corp, &public_url, uncovered)))
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
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Nobody declared this corp", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`CORPS_FILE` declares it: change it there", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn delete(
    State(corps): State<Arc<dyn Corps>>,
    State(directory): State<Arc<Directory>>,
    State(services): State<Services>,
    auditor: Auditor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = CorpId::parse(&id).map_err(|_| unknown())?;
    let _one_change = directory.one_change().await;
    let known = corps.corp(&id).await?;
    refuse_file(known.as_ref())?;
    if !directory.delete_corp(&id).await? {
        return Err(unknown());
    }
    if let Some(known) = &known {
        super::services::tell(&services, Some(known), &Corp { services: Vec::new(), ..known.clone() }).await?;
    }
    let detail = known.as_ref().map(changes::withdrawn).unwrap_or_default();
    auditor.record(Act::new(Action::CORP_DELETE, &id, detail)).await;
    info!(corp.id = %id, "a corp's declaration was withdrawn");
    Ok(StatusCode::NO_CONTENT)
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
    let covered: BTreeSet<Fingerprint> = corp.credentials.iter().map(|credential| credential.id.clone()).collect();
    let bots = store.puppets_of(&corp.id).await?;
    let uncovered = bots.into_iter().filter(|bot| bot.online && !covered.contains(&bot.pair_id()));
    Ok(uncovered.map(|bot| bot.kf_id.to_string()).collect())
}

fn view(corp: &Corp, public_url: &PublicUrl, uncovered_bots: Vec<String>) -> CorpView {
    let credentials = corp.credentials.iter().map(|credential| CredentialView {
        id: credential.id.to_string(),
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
