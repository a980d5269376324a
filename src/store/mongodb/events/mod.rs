//! Held events: rows are inserted and deleted by order, never overwritten. What a delivery settles is
//! a filter here, because deciding and deleting must be one step; the conformance suite compares it
//! with the domain's rule.

mod account;
mod claim;
mod document;
mod hold;
mod list;
mod rank;

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::bson::{Document, doc};

use self::document::{LIVE, read_held, state_text};
pub(super) use self::hold::Holder;
use super::MongoStore;
use super::connection::{Limit, Promise, collection};
use super::documents::date;
use crate::domain::{Account, CorpId, EventId};
use crate::store::{Events, HeldEvent, HeldFilter, HeldState, Lease, Postponed, Result, Settled};

pub(super) const HELD: &str = "wxkf_gateway_held_events";

/// Accounts whose rows are swept together.
const SWEPT_AT_ONCE: usize = 100;

/// The fields of a lease, to be unset.
fn free() -> Document {
    doc! { "leaseOwner": "", "leaseUntil": "" }
}

#[async_trait]
impl Events for MongoStore {
    async fn hold(&self, held: &HeldEvent) -> Result<()> {
        self.holder.hold(held).await
    }

    async fn settle(&self, account: &Account, settled: &Settled) -> Result<u64> {
        account::settle(self, account, settled).await
    }

    async fn claim_due(&self, now: Timestamp, lease: &Lease, rows: usize) -> Result<Vec<HeldEvent>> {
        claim::claim_due(self, now, lease, rows).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        claim::next_due(self).await
    }

    async fn newest(&self, account: &Account) -> Result<Option<HeldEvent>> {
        account::newest(self, account).await
    }

    async fn postpone(&self, id: &EventId, owner: &str, postponed: &Postponed) -> Result<bool> {
        let filter = doc! {
            "_id": id.as_str(),
            "state": LIVE,
            "$or": [{ "leaseOwner": null }, { "leaseOwner": owner }],
        };
        let fields = doc! {
            "dueAt": date(postponed.due_at),
            "attempts": i64::from(postponed.attempts),
            "lastError": &postponed.last_error,
        };
        let update = doc! { "$set": fields, "$unset": free() };
        let set = async |db| collection(&db, HELD, Promise::Light).update_one(filter, update).await;
        Ok(self.connection.run(Limit::Callback, set).await?.matched_count > 0)
    }

    async fn wake(&self, account: &Account, at: Timestamp) -> Result<()> {
        account::wake(self, account, at).await
    }

    async fn expire(&self, id: &EventId, at: Timestamp) -> Result<bool> {
        account::expire(self, id, at).await
    }

    async fn held(&self, id: &EventId) -> Result<Option<HeldEvent>> {
        let filter = doc! { "_id": id.as_str() };
        let find = async |db| collection(&db, HELD, Promise::Light).find_one(filter).await;
        self.connection.run(Limit::Callback, find).await?.as_ref().map(read_held).transpose()
    }

    async fn list_held(&self, filter: &HeldFilter, after: Option<&EventId>, rows: usize) -> Result<Vec<HeldEvent>> {
        list::list(self, filter, after, rows).await
    }

    async fn revive(&self, id: &EventId, at: Timestamp, expires_at: Timestamp) -> Result<bool> {
        let filter = doc! { "_id": id.as_str() };
        let live = state_text(HeldState::Live);
        let fields = doc! { "state": live, "dueAt": date(at), "expiresAt": date(expires_at) };
        let update = doc! { "$set": fields, "$unset": free() };
        let set = async |db| collection(&db, HELD, Promise::Durable).update_one(filter, update).await;
        Ok(self.connection.write(Limit::Callback, set).await?.matched_count > 0)
    }

    async fn delete_held(&self, id: &EventId) -> Result<bool> {
        let filter = doc! { "_id": id.as_str() };
        let delete = async |db| collection(&db, HELD, Promise::Durable).delete_one(filter).await;
        Ok(self.connection.write(Limit::Callback, delete).await?.deleted_count > 0)
    }

    async fn sweep(&self, expired_before: Timestamp) -> Result<u64> {
        let mut swept = 0;
        for accounts in list::crowded_accounts(self).await?.chunks(SWEPT_AT_ONCE) {
            swept += account::sweep(self, accounts).await?;
        }
        Ok(swept + list::delete_expired(self, expired_before).await?)
    }

    async fn waiting_accounts(&self) -> Result<Vec<Account>> {
        list::waiting_accounts(self).await
    }

    async fn holding(&self, accounts: &[Account]) -> Result<Vec<Account>> {
        list::holding(self, accounts).await
    }

    async fn count_unknown_unsigned(&self, corp: &CorpId) -> Result<u64> {
        list::count_unknown_unsigned(self, corp).await
    }
}
