//! One held event as a document, and back.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use mongodb::bson::{Document, doc};

use crate::domain::{
    Account, CorpId, Digest, EventId, Fingerprint, KfEvent, OpenKfId, Order, Payload, RawCallback, Trust,
};
use crate::store::mongodb::documents::{binary, bytes, damaged, date, flag, number, optional, parsed, text, time};
use crate::store::{HeldEvent, HeldState, Lease, Result};

pub(super) const LIVE: &str = "live";
pub(super) const EXPIRED: &str = "expired";

pub(super) fn state_text(state: HeldState) -> &'static str {
    match state {
        HeldState::Live => LIVE,
        HeldState::Expired => EXPIRED,
    }
}

pub(super) fn is_signed(trust: Trust) -> bool {
    trust == Trust::Signed
}

/// Extra fields as JSON text, because documents know no unsigned numbers and servers reorder fields.
pub(super) fn write_held(held: &HeldEvent) -> Result<Document> {
    let KfEvent { id, account, order, trust, digest, born_at, payload } = &*held.event;
    let extra = serde_json::to_string(&payload.extra).map_err(|error| damaged("extra", &error.to_string()))?;
    let mut document = doc! {
        "_id": id.as_str(),
        "corp": account.corp.as_str(),
        "kf": account.kf.as_str(),
        "created": order.created,
        "arrival": order.arrival,
        "signed": is_signed(*trust),
        "digest": binary(&digest.0),
        "bornAt": date(*born_at),
        "extra": extra,
        "state": state_text(held.state),
        "expiresAt": date(held.expires_at),
        "dueAt": date(held.due_at),
        "attempts": i64::from(held.attempts),
    };
    if let Some(token) = &payload.sync_token {
        document.insert("syncToken", &**token);
    }
    if let Some(RawCallback { query, body, credential }) = &payload.raw {
        document.insert("raw", doc! { "query": &**query, "body": binary(body), "credential": credential.as_str() });
    }
    if let Some(error) = &held.last_error {
        document.insert("lastError", error);
    }
    if let Some(Lease { owner, until }) = &held.lease {
        document.insert("leaseOwner", owner);
        document.insert("leaseUntil", date(*until));
    }
    Ok(document)
}

pub(super) fn read_held(document: &Document) -> Result<HeldEvent> {
    let owner = optional(document, "leaseOwner", text)?;
    let until = read_lease_end(document)?;
    Ok(HeldEvent {
        event: Arc::new(KfEvent {
            id: EventId::from_text(text(document, "_id")?),
            account: read_account(document)?,
            order: read_order(document)?,
            trust: read_trust(document),
            digest: Digest(bytes(document, "digest")?.try_into().map_err(|_| damaged("digest", "it is not 16 bytes"))?),
            born_at: time(document, "bornAt")?,
            payload: read_payload(document)?,
        }),
        state: parsed(document, "state", |text| Ok(if text == LIVE { HeldState::Live } else { HeldState::Expired }))?,
        expires_at: time(document, "expiresAt")?,
        due_at: time(document, "dueAt")?,
        attempts: number(document, "attempts")?,
        last_error: optional(document, "lastError", text)?.map(str::to_owned),
        lease: owner.zip(until).map(|(owner, until)| Lease { owner: owner.to_owned(), until }),
    })
}

pub(super) fn read_account(document: &Document) -> Result<Account> {
    Ok(Account { corp: parsed(document, "corp", CorpId::parse)?, kf: parsed(document, "kf", OpenKfId::parse)? })
}

pub(super) fn read_order(document: &Document) -> Result<Order> {
    Ok(Order { created: number(document, "created")?, arrival: number(document, "arrival")? })
}

pub(super) fn read_trust(document: &Document) -> Trust {
    if flag(document, "signed") { Trust::Signed } else { Trust::Unsigned }
}

pub(super) fn read_lease_end(document: &Document) -> Result<Option<Timestamp>> {
    optional(document, "leaseUntil", time)
}

fn read_payload(document: &Document) -> Result<Payload> {
    let raw = optional(document, "raw", |document, field| {
        let raw = document.get_document(field).map_err(|_| damaged(field, "it is no document"))?;
        Ok(RawCallback {
            query: text(raw, "query")?.into(),
            body: Bytes::copy_from_slice(bytes(raw, "body")?),
            credential: Fingerprint::from_text(text(raw, "credential")?),
        })
    })?;
    let extra = text(document, "extra")?;
    Ok(Payload {
        sync_token: optional(document, "syncToken", text)?.map(Into::into),
        extra: serde_json::from_str(extra).map_err(|error| damaged("extra", &error.to_string()))?,
        raw,
    })
}
