//! The operators' API, `/api/admin/*`: one file a resource, wire types beside their handlers.
//! Secrets are write-only: what was put in is never shown again, only named by its id.
//!
//! What operators do is done by the [`Desk`], for this API and the console alike; handlers only read what
//! came and pass it on.

pub mod audit;
pub mod corps;
pub mod deliveries;
pub mod puppets;
pub mod services;
pub mod tokens;

use std::sync::Arc;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::de::IntoDeserializer as _;
use serde::de::value::StringDeserializer;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access_token::AccessTokens;
use crate::callback::Callbacks;
use crate::dispatcher::Dispatcher;
use crate::http::problem::Problem;
use crate::services::Services;
use crate::store::declaration::ServiceRules;
use crate::store::{Corps, Directory, Store};
use corps::PublicUrl;

/// Where operators see and change things. Every change is recorded, whichever way it comes.
#[derive(Debug)]
pub struct Desk {
    pub store: Arc<dyn Store>,
    /// Those of `CORPS_FILE` included.
    pub corps: Arc<dyn Corps>,
    pub directory: Arc<Directory>,
    pub dispatcher: Dispatcher,
    pub services: Services,
    pub rules: Arc<dyn ServiceRules>,
    pub callbacks: Arc<Callbacks>,
    pub tokens: AccessTokens,
    pub public_url: PublicUrl,
    /// `PUPPET_WXKF_MANAGER_ENDPOINT` of bots, with words for what only the operator knows.
    pub bots_endpoint: String,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// From one item more than the limit: that one says that there is a next page.
    fn of(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { next: if more { items.last().map(id) } else { None }, items }
    }
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// The `next` of the page before.
    #[serde(default, deserialize_with = "filled")]
    #[param(required = false, example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw", pattern = "^[!-~]{0,128}$")]
    pub cursor: Option<String>,
    /// Items a page, 1 to 1000.
    #[param(required = false, example = 100, minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
}

impl Paging {
    const RULE: &'static str = "limit must be 1 to 1000, and no parameter may be repeated";

    fn cursor(&self) -> Result<Option<&str>, Problem> {
        let is_id = |text: &str| text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic());
        match self.cursor.as_deref() {
            Some(cursor) if !is_id(cursor) => Err(Problem::invalid("cursor must be the next of the page before")),
            cursor => Ok(cursor),
        }
    }

    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=1000 => Ok(limit),
            _ => Err(Problem::invalid("limit must be 1 to 1000")),
        }
    }
}

/// The parameters of a list. What is wrong is not repeated: it may be a secret in the wrong place.
fn read_query<T>(query: Result<Query<T>, QueryRejection>, rule: &'static str) -> Result<T, Problem> {
    query.map(|Query(parameters)| parameters).map_err(|_| Problem::invalid(rule))
}

/// A parameter of a query; an empty one counts as none, because forms send all of theirs.
fn filled<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let text: StringDeserializer<D::Error> = text.into_deserializer();
    T::deserialize(text).map(Some)
}
