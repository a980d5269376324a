//! `/api/admin/corps/{corpId}/services`: other services of a corp's app.

mod words;

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::info;
use utoipa::ToSchema;

use super::Desk;
use super::corps::refuse_file;
use crate::callback::{Refusal, TestEvent};
use crate::domain::{Action, Corp, CorpId, CorpSource, Service, ServiceFormat, ServiceKey, ServiceName};
use crate::http::audit::{Act, Auditor};
use crate::http::body::Fields;
use crate::http::problem::Problem;
use crate::services::{Posted, Services};
use crate::store::declaration::{self, Context, Faults};
use crate::store::{Corps, Store};

/// A service, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    #[schema(example = "contacts")]
    pub name: String,
    #[schema(example = "https://contacts.example.com/wecom")]
    pub url: String,
    #[schema(example = json!(["change_contact", "!change_contact.update_user"]))]
    pub events: Vec<String>,
    pub format: ServiceFormat,
    /// Whether its events are signed.
    pub has_secret: bool,
    #[schema(example = "24h")]
    pub ttl: String,
}

impl From<&Service> for ServiceView {
    fn from(service: &Service) -> Self {
        Self {
            name: service.name.to_string(),
            url: service.url.to_string(),
            events: service.events.clone(),
            format: service.format,
            has_secret: service.secret.is_some(),
            ttl: words::span(service.ttl),
        }
    }
}

/// What `PUT` declares.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; it is read field by field, to name every wrong one")]
pub struct ServiceBody {
    /// `http(s)://host[:port][/path][?query]`; it is shown, so no password belongs into it.
    #[schema(example = "https://contacts.example.com/wecom")]
    url: String,
    /// WeCom's own names (`Event`, else `MsgType`, else `InfoType`; with `ChangeType` as
    /// `change_contact.create_user`), `*` for all, `!name` to leave one out.
    #[schema(example = json!(["change_contact", "!change_contact.update_user"]))]
    events: Vec<String>,
    /// `as-received`, `decrypted-xml` or `json`.
    #[schema(example = "json")]
    format: String,
    /// `whsec_` and base64: events are signed by the Standard Webhooks. Without it the present one stays;
    /// `null` removes it.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: Option<String>,
    /// How long an event is retried; `24h` unless given.
    #[schema(example = "24h")]
    ttl: Option<String>,
}

/// The services of a corp.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceList {
    items: Vec<ServiceView>,
}

/// What came of a test event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestView {
    /// Whether the service answered 2xx.
    pub delivered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "the service answered 401 Unauthorized")]
    pub error: Option<String>,
    #[schema(example = 12)]
    pub duration_ms: u64,
}

/// List the services of a corp
///
/// Whether the admin API or `CORPS_FILE` declared them.
#[utoipa::path(
    get, path = "/api/admin/corps/{corpId}/services", operation_id = "listServices", tag = "Admin",
    params(("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef")),
    responses(
        (status = 200, description = "Its services, by name", body = ServiceList),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown corp", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn list(State(desk): State<Arc<Desk>>, Path(corp): Path<String>) -> Result<Json<ServiceList>, Problem> {
    Ok(Json(ServiceList { items: desk.list_services(&corp).await? }))
}

/// Show a service
///
/// Without its secret.
#[utoipa::path(
    get, path = "/api/admin/corps/{corpId}/services/{name}", operation_id = "getService", tag = "Admin",
    params(
        ("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef"),
        ("name" = String, Path, description = "Its name", example = "contacts"),
    ),
    responses(
        (status = 200, description = "The service", body = ServiceView),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such service", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn get(
    State(desk): State<Arc<Desk>>,
    Path((corp, name)): Path<(String, String)>,
) -> Result<Json<ServiceView>, Problem> {
    Ok(Json(desk.show_service(&corp, &name).await?))
}

/// Declare a service
///
/// From its declaration on it is sent each event of the corp that it names, in order and at least once. What
/// waits for it already is tried at once.
#[utoipa::path(
    put, path = "/api/admin/corps/{corpId}/services/{name}", operation_id = "putService", tag = "Admin",
    params(
        ("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef"),
        ("name" = String, Path, description = "1 to 64 of `A-Za-z0-9_-`", example = "contacts"),
    ),
    request_body(content = ServiceBody),
    responses(
        (status = 200, description = "Declared", body = ServiceView),
        (status = 400, description = "Every wrong field, named", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown corp: declare it first", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`CORPS_FILE` declares the corp: change it there", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn put(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path((corp, name)): Path<(String, String)>,
    Fields(fields): Fields,
) -> Result<Json<ServiceView>, Problem> {
    let fields = fields.map_err(Problem::invalid);
    Ok(Json(desk.put_service(&auditor, &corp, &name, fields).await?))
}

/// Withdraw a service
///
/// What waits for it is deleted.
#[utoipa::path(
    delete, path = "/api/admin/corps/{corpId}/services/{name}", operation_id = "deleteService", tag = "Admin",
    params(
        ("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef"),
        ("name" = String, Path, description = "Its name", example = "contacts"),
    ),
    responses(
        (status = 204, description = "Withdrawn"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such service", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`CORPS_FILE` declares it: change it there", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn delete(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path((corp, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    desk.delete_service(&auditor, &corp, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a service a test event
///
/// One call, past its queue: an event `wxkf_gateway_test` in the service's format, signed as all are. It is
/// sent whatever the service's `events` say.
#[utoipa::path(
    post, path = "/api/admin/corps/{corpId}/services/{name}/test", operation_id = "testService", tag = "Admin",
    params(
        ("corpId" = String, Path, description = "The corp id", example = "ww1234567890abcdef"),
        ("name" = String, Path, description = "Its name", example = "contacts"),
    ),
    responses(
        (status = 200, description = "What came of it", body = TestView),
        (status = 400, description = "It cannot be made: `as-received` needs a credential of the corp", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such service", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn test(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path((corp, name)): Path<(String, String)>,
) -> Result<Json<TestView>, Problem> {
    Ok(Json(desk.test_service(&auditor, &corp, &name).await?))
}

impl Desk {
    pub async fn list_services(&self, corp: &str) -> Result<Vec<ServiceView>, Problem> {
        let corp = CorpId::parse(corp).map_err(|_| unknown_corp())?;
        let known = known_corp(&*self.corps, &*self.store, &corp).await?;
        let services = known.map(|corp| corp.services).unwrap_or_default();
        Ok(services.iter().map(ServiceView::from).collect())
    }

    pub async fn show_service(&self, corp: &str, name: &str) -> Result<ServiceView, Problem> {
        let (_, service) = find(&*self.corps, corp, name).await?;
        Ok(ServiceView::from(&service))
    }

    /// What is wrong with the fields themselves is told after what is wrong with the names.
    pub async fn put_service(
        &self,
        auditor: &Auditor,
        corp: &str,
        name: &str,
        fields: Result<Map<String, Value>, Problem>,
    ) -> Result<ServiceView, Problem> {
        let corp = CorpId::parse(corp).map_err(|error| Problem::invalid(format!("corpId {error}")))?;
        let name = ServiceName::parse(name).map_err(|error| Problem::invalid(format!("name {error}")))?;
        let fields = fields?;
        let _one_change = self.directory.one_change().await;
        let known = known_corp(&*self.corps, &*self.store, &corp).await?;
        refuse_file(known.as_ref())?;
        let (source, now) = (CorpSource::Admin, auditor.now());
        let context = Context { prefix: "", source, known: known.as_ref(), now, rules: &*self.rules };
        let mut faults = Faults::default();
        let service = declaration::read_service(name.clone(), &fields, &context, &mut faults);
        let Some(service) = service.filter(|_| faults.is_empty()) else {
            return Err(Problem::from(&faults));
        };
        // A corp known by registrations alone is declared with this: they open its callbacks as before.
        let before = known.unwrap_or(Corp {
            id: corp.clone(),
            source,
            credentials: Vec::new(),
            wecom_proxy: None,
            services: Vec::new(),
            updated_at: now,
        });
        let mut after = Corp { updated_at: now, ..before.clone() };
        after.services.retain(|other| other.name != name);
        after.services.push(service.clone());
        after.services.sort_by(|one, other| one.name.cmp(&other.name));
        refuse_denied(&self.services, std::slice::from_ref(&service)).await?;
        self.directory.put_corp(&after).await?;
        let key = ServiceKey { corp, name };
        self.services.declared(&key);
        let was = before.services.iter().find(|other| other.name == key.name);
        if let Some(changes) = words::between(was, &service) {
            auditor.record(Act::new(Action::SERVICE_PUT, &key, changes)).await;
        }
        info!(service = %key, format = service.format.as_str(), "a service was declared");
        Ok(ServiceView::from(&service))
    }

    pub async fn delete_service(&self, auditor: &Auditor, corp: &str, name: &str) -> Result<(), Problem> {
        let _one_change = self.directory.one_change().await;
        let (mut known, service) = find(&*self.corps, corp, name).await?;
        refuse_file(Some(&known))?;
        known.services.retain(|other| other.name != service.name);
        known.updated_at = auditor.now();
        self.directory.put_corp(&known).await?;
        let key = ServiceKey { corp: known.id, name: service.name };
        let dropped = self.services.withdrawn(&key).await?;
        let detail = format!("withdrawn, with {dropped} undelivered events");
        auditor.record(Act::new(Action::SERVICE_DELETE, &key, detail)).await;
        info!(service = %key, dropped, "a service was withdrawn");
        Ok(())
    }

    pub async fn test_service(&self, auditor: &Auditor, corp: &str, name: &str) -> Result<TestView, Problem> {
        let (known, service) = find(&*self.corps, corp, name).await?;
        let event = match self.callbacks.test_event(&known.id, &service).await {
            Ok(TestEvent::Made(event)) => event,
            Ok(TestEvent::NoCredential) => {
                return Err(Problem::invalid("as-received needs a credential of the corp to seal the event with"));
            }
            Err(Refusal::UnknownCorp) => return Err(unknown()),
            Err(_) => return Err(Problem::unavailable()),
        };
        let began = Instant::now();
        let posted = self.services.test(&service, &event).await;
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let error = match posted {
            Posted::Delivered => None,
            Posted::Refused(error) | Posted::Failed(error) => Some(error),
        };
        let result = error.clone().unwrap_or_else(|| "delivered".to_owned());
        auditor.record(Act::new(Action::SERVICE_TEST, &event.service, result)).await;
        Ok(TestView { delivered: error.is_none(), error, duration_ms })
    }
}

/// The corp's declaration; `None` when its bots' registrations alone make it known.
async fn known_corp(corps: &dyn Corps, store: &dyn Store, corp: &CorpId) -> Result<Option<Corp>, Problem> {
    let declared = corps.corp(corp).await?;
    if declared.is_none() && store.pairs_of(corp).await?.is_empty() {
        return Err(unknown_corp());
    }
    Ok(declared)
}

async fn find(corps: &dyn Corps, corp: &str, name: &str) -> Result<(Corp, Service), Problem> {
    let id = CorpId::parse(corp).map_err(|_| unknown())?;
    let known = corps.corp(&id).await?.ok_or_else(unknown)?;
    let found = known.services.iter().find(|service| service.name.as_str() == name).cloned();
    found.map(|service| (known, service)).ok_or_else(unknown)
}

/// Names are resolved here, as a bot's is when it registers; each call checks again.
pub(super) async fn refuse_denied(services: &Services, declared: &[Service]) -> Result<(), Problem> {
    let looked_up = declared.iter().map(async |service| (&service.name, services.first_denied(&service.url).await));
    for (name, address) in futures::future::join_all(looked_up).await {
        if let Some(address) = address {
            let rule = format!("the url of {name} leads to {address}: DISPATCH_DENY_NETWORKS forbids that");
            return Err(Problem::invalid(rule));
        }
    }
    Ok(())
}

/// What waits for services that are gone goes too; for the others it is tried at once.
pub(super) async fn tell(services: &Services, before: Option<&Corp>, after: &Corp) -> Result<(), Problem> {
    let key = |service: &Service| ServiceKey { corp: after.id.clone(), name: service.name.clone() };
    for service in before.into_iter().flat_map(|corp| &corp.services) {
        if !after.services.iter().any(|other| other.name == service.name) {
            services.withdrawn(&key(service)).await?;
        }
    }
    after.services.iter().for_each(|service| services.declared(&key(service)));
    Ok(())
}

fn unknown() -> Problem {
    Problem::not_found("the corp has no service of this name")
}

fn unknown_corp() -> Problem {
    Problem::not_found("nobody declared this corp, and no bot of it ever registered")
}
