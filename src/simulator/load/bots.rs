//! All bots behind one server: account `n` is at `/b/n`.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;

use super::crowd::{Member, Named, Poke, Stage};
use super::door::Cut;
use super::{Condition, Shared};

/// express's default, which an unmodified bot keeps.
const BODY_LIMIT: usize = 100 * 1024;

/// What is asked of which bot.
struct Asked<'r> {
    account: usize,
    member: &'r Member,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Raw,
    Decrypted,
    /// Anything else, such as the probe of a gateway that looks whether the bot is back.
    Other,
}

pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, body) = request.into_parts();
    let Some(asked) = asked(shared, &parts.method, parts.uri.path()) else {
        return Ok(text(StatusCode::NOT_FOUND, "no such bot"));
    };
    if asked.form == Form::Other {
        shared.tally.probes.add_one();
        return Ok(text(StatusCode::NOT_FOUND, "Cannot do that"));
    }
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| Cut)?.to_bytes();
    shared.tally.pokes.add_one();
    match asked.member.stage() {
        Stage::Ready => {}
        // An unmodified bot's process ends.
        Stage::Starting => {
            shared.tally.before_registration.add_one();
            return Err(Cut);
        }
        Stage::Registered => {
            shared.tally.before_ready.add_one();
            return Err(Cut);
        }
    }
    match asked.member.condition {
        Condition::Refusing if shared.troubled.load(Ordering::Acquire) => {
            return Ok(text(StatusCode::INTERNAL_SERVER_ERROR, "refused on request"));
        }
        Condition::Slow if !shared.healed.is_cancelled() => tokio::time::sleep(shared.options.slow).await,
        _ => {}
    }
    Ok(take(shared, &asked, parts.uri.query().unwrap_or_default(), &body))
}

fn asked<'s>(shared: &'s Shared, method: &Method, path: &str) -> Option<Asked<'s>> {
    let (account, rest) = path.strip_prefix("/b/")?.split_once('/')?;
    let account = account.parse().ok()?;
    let form = match rest {
        "callback" if method == Method::POST => Form::Raw,
        "callback/decrypted" if method == Method::POST => Form::Decrypted,
        _ => Form::Other,
    };
    Some(Asked { account, member: shared.crowd.member(account)?, form })
}

/// The bot has its poke: what it is about has arrived.
fn take(shared: &Shared, asked: &Asked<'_>, query: &str, body: &[u8]) -> Response<Full<Bytes>> {
    let Shared { crowd, tally, .. } = shared;
    let poke = match asked.form {
        Form::Raw => crowd.read_raw(asked.account, query, body),
        Form::Decrypted | Form::Other => crowd.read_decrypted(body),
    };
    match poke {
        Poke::News(Named { account, sequence }) if account == asked.account => {
            asked.member.ledger.lock().arrived(sequence);
        }
        Poke::News(_) => {
            tally.misrouted.add_one();
            return text(StatusCode::INTERNAL_SERVER_ERROR, "kfOpenId not match");
        }
        Poke::Anonymous => tally.anonymous.add_one(),
        Poke::Unreadable => {
            tally.unreadable.add_one();
            return text(StatusCode::INTERNAL_SERVER_ERROR, "signature not match");
        }
    }
    text(StatusCode::OK, "success")
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
