//! One held event as a row, and back.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Row, params};

use crate::domain::{
    Account, CorpId, Digest, EventId, Fingerprint, KfEvent, OpenKfId, Order, Payload, RawCallback, Trust,
};
use crate::store::sqlite::rows::{change, damaged, optional_time, parsed, time, unsigned};
use crate::store::{HeldEvent, HeldState, Lease, Result};

const INSERT: &str = "
INSERT INTO held_event (id, corp_id, kf_id, created, arrival, signed, digest, born_at,
  sync_token, extra, raw_query, raw_body, raw_credential,
  state, expires_at, due_at, attempts, last_error, lease_owner, lease_until)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING";

pub(super) fn insert(db: &Connection, held: &HeldEvent) -> Result<()> {
    let KfEvent { id, account, order, trust, digest, born_at, payload } = &*held.event;
    let extra = serde_json::to_string(&payload.extra).map_err(|error| damaged("extra", &error.to_string()))?;
    let raw = payload.raw.as_ref();
    let lease = held.lease.as_ref();
    // By place: looking twenty names up costs more than two of the indexes.
    let values = params![
        id.as_str(),
        account.corp.as_str(),
        account.kf.as_str(),
        order.created,
        order.arrival,
        is_signed(*trust),
        digest.0,
        born_at.as_millisecond(),
        payload.sync_token.as_deref(),
        extra,
        raw.map(|raw| &*raw.query),
        raw.map(|raw| &*raw.body),
        raw.map(|raw| raw.credential.as_str()),
        state_text(held.state),
        held.expires_at.as_millisecond(),
        held.due_at.as_millisecond(),
        held.attempts,
        held.last_error,
        lease.map(|lease| &lease.owner),
        lease.map(|lease| lease.until.as_millisecond()),
    ];
    change(db, INSERT, values).map(drop)
}

pub(super) fn read_held(row: &Row<'_>) -> Result<HeldEvent> {
    let until = optional_time(row, "lease_until")?;
    let owner: Option<String> = row.get("lease_owner")?;
    Ok(HeldEvent {
        event: Arc::new(KfEvent {
            id: EventId::from_text(row.get::<_, String>("id")?),
            account: Account {
                corp: parsed(row, "corp_id", CorpId::parse)?,
                kf: parsed(row, "kf_id", OpenKfId::parse)?,
            },
            order: Order { created: row.get("created")?, arrival: row.get("arrival")? },
            trust: if row.get("signed")? { Trust::Signed } else { Trust::Unsigned },
            digest: Digest(row.get("digest")?),
            born_at: time(row, "born_at")?,
            payload: read_payload(row)?,
        }),
        state: parsed(row, "state", |text| Ok(if text == "live" { HeldState::Live } else { HeldState::Expired }))?,
        expires_at: time(row, "expires_at")?,
        due_at: time(row, "due_at")?,
        attempts: unsigned(row, "attempts")?,
        last_error: row.get("last_error")?,
        lease: owner.zip(until).map(|(owner, until)| Lease { owner, until }),
    })
}

fn read_payload(row: &Row<'_>) -> Result<Payload> {
    let extra: String = row.get("extra")?;
    let body: Option<Vec<u8>> = row.get("raw_body")?;
    let raw = body.map(|body| -> Result<_> {
        Ok(RawCallback {
            query: row.get::<_, String>("raw_query")?.into(),
            body: Bytes::from(body),
            credential: Fingerprint::from_text(row.get::<_, String>("raw_credential")?),
        })
    });
    Ok(Payload {
        sync_token: row.get::<_, Option<String>>("sync_token")?.map(Into::into),
        extra: serde_json::from_str(&extra).map_err(|error| damaged("extra", &error.to_string()))?,
        raw: raw.transpose()?,
    })
}

pub(super) fn is_signed(trust: Trust) -> bool {
    trust == Trust::Signed
}

pub(super) fn state_text(state: HeldState) -> &'static str {
    match state {
        HeldState::Live => "live",
        HeldState::Expired => "expired",
    }
}
