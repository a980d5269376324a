//! One service of a corp, declared or changed by a form.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::admin::Desk;
use crate::admin::corps::SourceView;
use crate::admin::services::ServiceView;
use crate::console::form::Form;
use crate::console::shell::{Shell, render};
use crate::console::text::{Done, Words};
use crate::domain::ServiceFormat;
use crate::http::audit::Auditor;
use crate::http::problem::Problem;

#[derive(Template)]
#[template(path = "service.html", config = "src/console/askama.toml")]
struct ServicePage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    corp: &'p str,
    /// A service that is there keeps its name.
    is_new: bool,
    /// `CORPS_FILE` declares it.
    is_fixed: bool,
    has_secret: bool,
    name: String,
    url: String,
    events: String,
    format: String,
    ttl: String,
    formats: [Choice; 3],
    fault: Option<String>,
}

struct Choice {
    value: &'static str,
    word: &'static str,
}

impl<'p> ServicePage<'p> {
    fn new(shell: &'p Shell, corp: &'p str) -> Self {
        let t = shell.t;
        let formats = [
            (ServiceFormat::Json, t.format_json),
            (ServiceFormat::DecryptedXml, t.format_xml),
            (ServiceFormat::AsReceived, t.format_as_received),
        ];
        let formats = formats.map(|(format, word)| Choice { value: format.as_str(), word });
        Self {
            shell,
            t,
            corp,
            is_new: true,
            is_fixed: false,
            has_secret: false,
            name: String::new(),
            url: String::new(),
            events: "*".to_owned(),
            format: ServiceFormat::Json.as_str().to_owned(),
            ttl: "24h".to_owned(),
            formats,
            fault: None,
        }
    }

    fn of(shell: &'p Shell, corp: &'p str, service: ServiceView) -> Self {
        Self {
            is_new: false,
            has_secret: service.has_secret,
            name: service.name,
            url: service.url,
            events: service.events.join(", "),
            format: service.format.as_str().to_owned(),
            ttl: service.ttl,
            ..Self::new(shell, corp)
        }
    }

    /// As the form had it, but for its secret.
    fn again(self, form: &Form, fault: String) -> Self {
        let text = |name| form.text(name).to_owned();
        let name = if self.is_new { text("name") } else { self.name };
        let (url, events, format, ttl) = (text("url"), text("events"), text("format"), text("ttl"));
        Self { name, url, events, format, ttl, fault: Some(fault), ..self }
    }
}

/// The form of a new one.
pub async fn new(shell: Shell, State(desk): State<Arc<Desk>>, Path(corp): Path<String>) -> Response {
    match desk.show_corp(&corp).await {
        Ok(_) => render(StatusCode::OK, &ServicePage::new(&shell, &corp)),
        Err(problem) => shell.problem(&problem),
    }
}

/// The form of one that is there.
pub async fn page(shell: Shell, State(desk): State<Arc<Desk>>, Path((corp, name)): Path<(String, String)>) -> Response {
    let known =
        async { Ok::<_, Problem>((desk.show_service(&corp, &name).await?, desk.show_corp(&corp).await?.source)) };
    match known.await {
        Ok((service, source)) => {
            let is_fixed = matches!(source, SourceView::File);
            render(StatusCode::OK, &ServicePage { is_fixed, ..ServicePage::of(&shell, &corp, service) })
        }
        Err(problem) => shell.problem(&problem),
    }
}

/// Declares the service that the form names.
pub async fn add(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(corp): Path<String>,
    form: Form,
) -> Response {
    let shell = shell.in_place_of(&format!("corps/{corp}/new-service"));
    let taken = desk.show_service(&corp, form.text("name")).await.is_ok();
    let put = match taken {
        true => Err(Problem::invalid("the corp has a service of this name: open it to change it")),
        false => desk.put_service(&auditor, &corp, form.text("name"), Ok(fields(&form))).await,
    };
    match put {
        Ok(_) => shell.done(&format!("corps/{corp}"), Done::ServiceSaved),
        Err(problem) => refused(ServicePage::new(&shell, &corp), &form, &problem),
    }
}

/// Changes the service of the path.
pub async fn save(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path((corp, name)): Path<(String, String)>,
    form: Form,
) -> Response {
    let shell = shell.in_place_of(&format!("corps/{corp}/services/{name}"));
    let known = match desk.show_service(&corp, &name).await {
        Ok(known) => known,
        Err(problem) => return shell.problem(&problem),
    };
    match desk.put_service(&auditor, &corp, &name, Ok(fields(&form))).await {
        Ok(_) => shell.done(&format!("corps/{corp}"), Done::ServiceSaved),
        Err(problem) => refused(ServicePage::of(&shell, &corp, known), &form, &problem),
    }
}

pub async fn remove(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path((corp, name)): Path<(String, String)>,
) -> Response {
    match desk.delete_service(&auditor, &corp, &name).await {
        Ok(()) => shell.done(&format!("corps/{corp}"), Done::ServiceRemoved),
        Err(problem) => shell.problem(&problem),
    }
}

fn refused(page: ServicePage<'_>, form: &Form, problem: &Problem) -> Response {
    let fault = page.t.say(&problem.detail);
    render(problem.code(), &page.again(form, fault))
}

/// As the API takes them. A secret that is not filled in stays, unless it is to go.
fn fields(form: &Form) -> Map<String, Value> {
    let mut fields = Map::new();
    for name in ["url", "format"] {
        fields.insert(name.to_owned(), form.text(name).into());
    }
    fields.insert("events".to_owned(), form.list("events").into());
    if let Some(ttl) = form.filled("ttl") {
        fields.insert("ttl".to_owned(), ttl.into());
    }
    if form.filled("forget").is_some() {
        fields.insert("secret".to_owned(), Value::Null);
    } else if let Some(secret) = form.filled("secret") {
        fields.insert("secret".to_owned(), secret.into());
    }
    fields
}
