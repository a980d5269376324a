//! `/cgi-bin/*`: which API a path is, what all of them check, and the shell that turns an answer
//! into HTTP.

mod account;
mod customer;
mod media;
pub(super) mod messages;
mod multipart;
mod send;
mod session;
mod sync;
mod token;

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::errcode::{self, Refusal};
use super::world::{Corp, World};
use super::{Limits, WecomOptions};

mod shell;
pub(super) use shell::routes;

/// The simulated APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    GetToken,
    CallbackIp,
    AccountList,
    SyncMsg,
    SendMsg,
    SendMsgOnEvent,
    CustomerBatchGet,
    ServiceStateGet,
    ServiceStateTrans,
    MediaUpload,
    MediaGet,
}

impl Api {
    const ALL: [Self; 11] = [
        Self::GetToken,
        Self::CallbackIp,
        Self::AccountList,
        Self::SyncMsg,
        Self::SendMsg,
        Self::SendMsgOnEvent,
        Self::CustomerBatchGet,
        Self::ServiceStateGet,
        Self::ServiceStateTrans,
        Self::MediaUpload,
        Self::MediaGet,
    ];

    /// The path below `/cgi-bin/`.
    pub fn path(self) -> &'static str {
        match self {
            Self::GetToken => "gettoken",
            Self::CallbackIp => "getcallbackip",
            Self::AccountList => "kf/account/list",
            Self::SyncMsg => "kf/sync_msg",
            Self::SendMsg => "kf/send_msg",
            Self::SendMsgOnEvent => "kf/send_msg_on_event",
            Self::CustomerBatchGet => "kf/customer/batchget",
            Self::ServiceStateGet => "kf/service_state/get",
            Self::ServiceStateTrans => "kf/service_state/trans",
            Self::MediaUpload => "media/upload",
            Self::MediaGet => "media/get",
        }
    }

    fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.path() == path)
    }

    fn is_kf(self) -> bool {
        self.path().starts_with("kf/")
    }
}

/// One request, taken apart.
struct Call {
    api: Api,
    caller: IpAddr,
    now: Timestamp,
    query: Vec<(String, String)>,
    content_type: String,
    range: Option<String>,
    body: Bytes,
}

impl Call {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The JSON body. WeCom reads only POST bodies, whatever their content type says.
    fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::new(errcode::NOT_JSON, format!("body: {error}")))
    }
}

/// A good answer.
enum Reply {
    /// `errcode` 0 and these fields.
    Json(Value),
    File(media::Download),
    /// JSON, and a message reached a customer.
    Sent {
        answer: Value,
        to: send::Addressee,
    },
}

/// The answer of WeCom's rules to a call. Deterministic: it depends on the world alone.
fn answer(world: &mut World, options: &WecomOptions, call: &Call) -> Result<Reply, Refusal> {
    if call.api == Api::GetToken {
        if let Some(corp) = call.query("corpid").and_then(|id| world.corps.get_mut(id)) {
            within_limits(corp, &options.limits, call)?;
        }
        return token::get(world, options, call).map(Reply::Json);
    }
    let corp_id = token::authorise(world, options, call)?;
    within_limits(world.corp(&corp_id)?, &options.limits, call)?;
    match call.api {
        Api::GetToken | Api::CallbackIp => Ok(Reply::Json(json!({ "ip_list": ["127.0.0.1", "101.226.103.*"] }))),
        Api::AccountList => account::list(world.corp(&corp_id)?, call).map(Reply::Json),
        Api::SyncMsg => sync::sync(world.corp(&corp_id)?, &options.limits, call).map(Reply::Json),
        Api::SendMsg => send::to_customer(world, &corp_id, call),
        Api::SendMsgOnEvent => send::on_event(world, &corp_id, call),
        Api::CustomerBatchGet => customer::batch(world.corp(&corp_id)?, call).map(Reply::Json),
        Api::ServiceStateGet => session::get(world.corp(&corp_id)?, call).map(Reply::Json),
        Api::ServiceStateTrans => session::transfer(world, &corp_id, call).map(Reply::Json),
        Api::MediaUpload => media::upload(world, &corp_id, call).map(Reply::Json),
        Api::MediaGet => media::download(world.corp(&corp_id)?, call).map(Reply::File),
    }
}

/// Base limits (document 90454), of each corp and API. A call counts whatever else is wrong with it.
fn within_limits(corp: &mut Corp, limits: &Limits, call: &Call) -> Result<(), Refusal> {
    let a_minute = limits.calls_per_minute;
    if a_minute == usize::MAX {
        return Ok(());
    }
    let calls = corp.calls.entry(call.api.path()).or_default();
    let an_hour = a_minute.saturating_mul(HOURLY_SHARE);
    if calls.count(call.now, HOUR) >= an_hour {
        return Err(Refusal::new(errcode::TOO_OFTEN, format!("more than {an_hour} calls an hour")));
    }
    if calls.recent(call.now, MINUTE) >= a_minute {
        return Err(Refusal::new(errcode::TOO_OFTEN, format!("more than {a_minute} calls a minute")));
    }
    calls.add(call.now);
    Ok(())
}

/// 150,000 calls an hour to 10,000 a minute.
const HOURLY_SHARE: usize = 15;
const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
