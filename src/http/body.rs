//! Bodies: read up to a limit, as bytes or as named fields.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use utoipa::ToSchema;

/// The largest body of a JSON route, in bytes.
const FIELDS_LIMIT: usize = 256 * 1024;

/// A body up to this size is read at once; what goes beyond takes room, of which there is so much, in bytes, that a crowd
/// of senders cannot fill the memory. What WeCom sends is smaller by far, as is what bots send.
const SMALL: usize = 16 * 1024;
const ROOM_FOR_LARGE: usize = 32 * 1024 * 1024;
static ROOM: Semaphore = Semaphore::const_new(ROOM_FOR_LARGE);
/// Who gets no room by then is told to come again.
const ROOM_WITHIN: Duration = Duration::from_secs(2);

/// For a whole body: whoever needs longer holds a connection that others wait for.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// It is larger than allowed.
    TooLarge,
    /// It broke off, or did not come to its end in time.
    BrokeOff,
    /// There is no room for more large bodies just now.
    Crowded,
}

/// Reads a body of at most `limit` bytes. A larger one is read on and dropped, up to `dropped`
/// bytes, so that the caller gets the answer instead of a reset connection.
pub async fn read(body: Body, limit: usize, dropped: usize) -> Result<Bytes, BodyFault> {
    read_within(READ_LIMIT, &ROOM, body, limit, dropped).await
}

async fn read_within(
    time: Duration,
    room: &Semaphore,
    body: Body,
    limit: usize,
    dropped: usize,
) -> Result<Bytes, BodyFault> {
    timeout(time, read_to_end(room, body, limit, dropped)).await.unwrap_or(Err(BodyFault::BrokeOff))
}

async fn read_to_end(room: &Semaphore, body: Body, limit: usize, dropped: usize) -> Result<Bytes, BodyFault> {
    let mut stream = body.into_data_stream();
    let Some(first) = stream.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|_| BodyFault::BrokeOff)?;
    let mut length = first.len();
    let mut whole: Option<BytesMut> = None;
    let mut taken: Option<SemaphorePermit<'_>> = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| BodyFault::BrokeOff)?;
        length += chunk.len();
        if length > dropped {
            return Err(BodyFault::TooLarge);
        }
        if length > limit {
            (whole, taken) = (None, None);
            continue;
        }
        if length > SMALL {
            let more = take(room, chunk.len()).await?;
            match &mut taken {
                Some(taken) => taken.merge(more),
                None => taken = Some(more),
            }
        }
        whole.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&chunk);
    }
    if length > limit {
        return Err(BodyFault::TooLarge);
    }
    // The usual body is one chunk, and not copied.
    Ok(whole.map_or(first, BytesMut::freeze))
}

async fn take(room: &Semaphore, bytes: usize) -> Result<SemaphorePermit<'_>, BodyFault> {
    let taken = room.acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX));
    timeout(ROOM_WITHIN, taken).await.ok().and_then(Result::ok).ok_or(BodyFault::Crowded)
}

/// The fields of a JSON object or an urlencoded form, whichever the content type says; or what is
/// wrong with the body, in words for its sender.
#[derive(Debug)]
pub struct Fields(pub Result<Map<String, Value>, String>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Response> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let form = content_type.is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"));
        let bytes = match read(request.into_body(), FIELDS_LIMIT, FIELDS_LIMIT * 4).await {
            Ok(bytes) => bytes,
            Err(BodyFault::TooLarge) => return Ok(Self(Err(format!("the body is larger than {FIELDS_LIMIT} bytes")))),
            Err(BodyFault::BrokeOff) => return Ok(Self(Err("the body broke off".to_owned()))),
            Err(BodyFault::Crowded) => {
                let mend = "too many large bodies come in: send it again";
                return Err(refused(StatusCode::SERVICE_UNAVAILABLE, mend));
            }
        };
        Ok(Self(parse_fields(&bytes, if form { Encoding::Form } else { Encoding::Json })))
    }
}

/// What the content type says a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Form,
}

/// The fields of a body, or what is wrong with it.
pub fn parse_fields(body: &[u8], encoding: Encoding) -> Result<Map<String, Value>, String> {
    let content = body.trim_ascii_start();
    if content.is_empty() {
        return Err("the body is empty: send a JSON object".to_owned());
    }
    // Many a tool says "form" and sends JSON (`curl -d` does); a form never begins with a brace or bracket.
    if encoding == Encoding::Form && !content.starts_with(b"{") && !content.starts_with(b"[") {
        let pairs = form_urlencoded::parse(body);
        return Ok(pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("the body must be a JSON object".to_owned()),
        Err(error) => Err(format!("the body is not JSON (line {}, column {})", error.line(), error.column())),
    }
}

/// A refusal in the shape that bots know.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    /// Never 0.
    #[schema(example = 400)]
    pub code: u16,
    /// What is wrong, and the mend.
    #[schema(example = "openKfId is missing: send {\"token\", \"openKfId\"}")]
    pub message: String,
}

/// A refusal with its status.
pub fn refused(status: StatusCode, message: &str) -> Response {
    (status, Json(Refused { code: status.as_u16(), message: message.to_owned() })).into_response()
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> = sizes.iter().map(|&size| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; size]))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_up_to_its_limit_is_read_and_a_larger_one_is_not() {
        let read_length = async |sizes: &[usize]| read(chunks(sizes), 100, 1_000).await.map(|bytes| bytes.len());
        assert_eq!(read_length(&[]).await, Ok(0));
        assert_eq!(read_length(&[100]).await, Ok(100));
        assert_eq!(read_length(&[60, 40]).await, Ok(100));
        for larger in [&[101][..], &[60, 41], &[60, 1_000], &[1_001, 1]] {
            assert_eq!(read_length(larger).await, Err(BodyFault::TooLarge), "{larger:?}");
        }
    }

    #[tokio::test]
    async fn a_sender_who_takes_too_long_is_given_up() {
        let trickle = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let limit = Duration::from_millis(50);
        let trickling = read_within(limit, &ROOM, Body::from_stream(trickle), usize::MAX, usize::MAX).await;
        assert_eq!(trickling, Err(BodyFault::BrokeOff));
        let silent = Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
        assert_eq!(read_within(limit, &ROOM, silent, 100, 100).await, Err(BodyFault::BrokeOff));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_senders_take_no_more_room_than_what_they_sent() {
        let room = Semaphore::new(100_000);
        let read = |body: Body| read_within(READ_LIMIT, &room, body, 1 << 20, 1 << 20);
        let begun = |size: usize| {
            let sent = [SMALL, size].map(|size| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; size])));
            Body::from_stream(stream::iter(sent).chain(stream::pending()))
        };
        let mut slow: Vec<_> = (0..9).map(|_| Box::pin(read(begun(10_000)))).collect();
        for sender in &mut slow {
            assert!(futures::poll!(sender).is_pending());
        }
        assert_eq!(read(chunks(&[SMALL, 10_000])).await.map(|body| body.len()), Ok(SMALL + 10_000));
        assert_eq!(read(chunks(&[SMALL, 10_001])).await, Err(BodyFault::Crowded));
        assert_eq!(read(chunks(&[SMALL])).await.map(|body| body.len()), Ok(SMALL), "what is usual takes none");
        drop(slow);
        assert!(read(chunks(&[SMALL, 10_001])).await.is_ok());
    }
}
