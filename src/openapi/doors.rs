//! Who is let in, and what is answered to whoever is not: the doors answer before any handler, so that
//! no handler describes it. The errors of the admin API get their shape here for the same reason: one
//! layer gives it to all of them.
//!
//! The one decision a reader would question: the tag of an operation, which is its audience, says which
//! door it is behind. The router puts the doors around audiences too.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::response::Response;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, ContentBuilder, Header, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Type,
};

use crate::http::problem::{PROBLEM_JSON, Problem};

const NO_TOKEN: &str = "NoAdminToken";
const MANY_TOKENS: &str = "TooManyAdminTokens";
const NO_PASSWORD: &str = "NoPuppetPassword";
const MANY_PASSWORDS: &str = "TooManyPuppetPasswords";

/// Says of every operation which door it is behind, and what that answers.
pub fn describe(document: &mut OpenApi) {
    describe_components(document.components.get_or_insert_default());
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.head];
        operations.into_iter().flatten().for_each(describe_operation);
    }
}

fn describe_operation(operation: &mut Operation) {
    let security = match operation.tags.as_ref().and_then(|tags| tags.first()).map(String::as_str) {
        Some("Admin") => {
            behind(operation, NO_TOKEN, MANY_TOKENS);
            describe_problems(operation);
            vec![SecurityRequirement::new("adminToken", [""; 0])]
        }
        Some("Bots") => {
            behind(operation, NO_PASSWORD, MANY_PASSWORDS);
            let password = ["puppetPassword", "puppetPasswordBearer"];
            let password = password.into_iter().map(|name| SecurityRequirement::new(name, [""; 0]));
            [SecurityRequirement::default()].into_iter().chain(password).collect()
        }
        _ => vec![SecurityRequirement::default()],
    };
    operation.security = Some(security);
}

fn behind(operation: &mut Operation, refused: &str, turned_away: &str) {
    for (status, response) in [("401", refused), ("429", turned_away)] {
        operation.responses.responses.insert(status.to_owned(), RefOr::Ref(Ref::from_response_name(response)));
    }
}

/// Every error of the admin API has one shape, also those that no handler makes.
fn describe_problems(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if operation.parameters.iter().flatten().any(is_in_path) {
        let no_text = || RefOr::T(Response::new("The path is not percent-encoded UTF-8"));
        responses.entry("400".to_owned()).or_insert_with(no_text);
    }
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else { continue };
        if let Some(problem) = Problem::example(status, &response.description) {
            response.content.insert(PROBLEM_JSON.to_owned(), problem_content(&problem).into());
        }
    }
}

fn is_in_path(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path)
}

fn problem_content(problem: &Problem) -> Content {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    content.example(serde_json::to_value(problem).ok()).build()
}

fn describe_components(components: &mut Components) {
    let door = |scheme, description: &str| {
        let mut http = Http::new(scheme);
        http.description = Some(description.to_owned());
        SecurityScheme::Http(http)
    };
    let token = "`ADMIN_TOKEN`. Where none is set there is no admin API: all of it answers 404";
    components.add_security_scheme("adminToken", door(HttpAuthScheme::Bearer, token));
    let basic = "`PUPPET_PASSWORD` with any user name, where it is set";
    components.add_security_scheme("puppetPassword", door(HttpAuthScheme::Basic, basic));
    let bearer = "`PUPPET_PASSWORD`, where it is set";
    components.add_security_scheme("puppetPasswordBearer", door(HttpAuthScheme::Bearer, bearer));

    let text = |example: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        ("text/plain", ContentBuilder::new().schema(Some(schema)).example(Some(example.into())).build())
    };
    let problem = |problem: &Problem| (PROBLEM_JSON, problem_content(problem));
    let (no_token, no_password) = ("No or a wrong `ADMIN_TOKEN`", "`PUPPET_PASSWORD` is set and was not sent");
    let mend = "PUPPET_PASSWORD is set: send it, for example as http://bot:PASSWORD@gateway:7777";
    let later = "too many wrong passwords are offered at once: come back later";
    let answers = [
        (NO_TOKEN, refused(no_token, "Bearer", problem(&Problem::unauthorized()))),
        (MANY_TOKENS, turned_away(problem(&Problem::too_many_attempts()))),
        (NO_PASSWORD, refused(no_password, "Basic realm=\"wxkf-gateway\"", text(mend))),
        (MANY_PASSWORDS, turned_away(text(later))),
    ];
    components.responses.extend(answers.map(|(name, answer)| (name.to_owned(), RefOr::T(answer))));
}

fn refused(description: &str, challenge: &str, content: (&str, Content)) -> Response {
    let challenge = ObjectBuilder::new().schema_type(Type::String).examples([challenge]).build();
    let challenge = HeaderBuilder::new().schema(Some(challenge)).description(Some("What to send")).build();
    answer(description, content, ("WWW-Authenticate", challenge))
}

fn turned_away(content: (&str, Content)) -> Response {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).examples([3]).build();
    let seconds = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait")).build();
    answer("Too many wrong passwords at once, from anywhere", content, ("Retry-After", seconds))
}

fn answer(description: &str, (content_type, content): (&str, Content), (header, value): (&str, Header)) -> Response {
    let mut answer = Response::new(description);
    answer.content.insert(content_type.to_owned(), content.into());
    answer.headers.insert(header.to_owned(), value.into());
    answer
}
