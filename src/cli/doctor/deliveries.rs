//! Events that wait for their bot, or were given up: from the store, or from the gateway where the store cannot be
//! read here.

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::Clock;
use crate::store::{HeldEvent, HeldFilter, HeldState, Store, StoreError};

use super::admin::{self, AdminFault};
use super::finding::{Check, Finding, Part, Tried};
use super::gateway::Running;
use super::setup::Setup;

const PAGE: usize = 1_000;
/// Nobody needs to know more exactly than that.
const COUNTED: usize = 100_000;
/// A bot's restart takes less.
const LONG: i64 = 60;

/// How many, since when, and why the oldest is still there.
#[derive(Debug, Default)]
struct Sum {
    count: usize,
    oldest: Option<Timestamp>,
    reason: Option<String>,
}

impl Sum {
    fn add(&mut self, arrival: Timestamp, reason: Option<String>) {
        self.count += 1;
        if self.oldest.is_none_or(|oldest| arrival < oldest) {
            (self.oldest, self.reason) = (Some(arrival), reason);
        }
    }

    fn told(&self) -> String {
        let count = if self.count >= COUNTED { format!("at least {}", self.count) } else { self.count.to_string() };
        let oldest =
            self.oldest.map(|at| format!("; the oldest came at {}", at.strftime("%F %TZ"))).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{count}{oldest}{reason}")
    }
}

pub(super) fn checks(setup: &Setup) -> Vec<Check<'_>> {
    let check = |state: HeldState, subject: &'static str| {
        let what = Tried::new(Part::Deliveries, subject, "counted them");
        Check::new(what.clone(), async move { found(setup, state, what).await.into_iter().collect() })
    };
    vec![check(HeldState::Live, "waiting"), check(HeldState::Expired, "given up")]
}

async fn found(setup: &Setup, state: HeldState, tried: Tried) -> Option<Finding> {
    let sum = match (&setup.stored, &setup.gateway) {
        (Some(stored), _) => in_store(&*stored.store, state).await.map_err(|error| error.to_string()),
        (None, Some(running)) => of_gateway(setup, running, state).await.map_err(|fault| fault.to_string()),
        (None, None) => return None,
    };
    Some(match sum {
        Ok(sum) => judged(tried, state, &sum),
        Err(fault) => tried.skipped(fault),
    })
}

fn judged(tried: Tried, state: HeldState, sum: &Sum) -> Finding {
    let now = Clock::default().now().as_second();
    let long = sum.oldest.is_some_and(|oldest| now - oldest.as_second() > LONG);
    match state {
        HeldState::Expired if sum.count > 0 => {
            let advice = "mend the bot, then POST /api/admin/deliveries/{id}/redeliver, or DELETE them: after a week \
                they are forgotten";
            tried.warning(sum.told(), advice)
        }
        HeldState::Live if long => {
            tried.warning(sum.told(), "see what is said of the bots: their events wait for them")
        }
        HeldState::Live | HeldState::Expired => tried.ok(sum.told()),
    }
}

async fn in_store(store: &dyn Store, state: HeldState) -> Result<Sum, StoreError> {
    let filter = HeldFilter { state: Some(state), ..HeldFilter::default() };
    let (mut sum, mut after) = (Sum::default(), None);
    while sum.count < COUNTED {
        let page: Vec<HeldEvent> = store.list_held(&filter, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.event.id.clone());
        page.into_iter().for_each(|held| sum.add(held.event.arrival(), held.last_error));
    }
    Ok(sum)
}

#[derive(Deserialize)]
struct DeliveryPage {
    items: Vec<Delivery>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    received_at: String,
    last_error: Option<String>,
}

/// The first page is enough: it says that there are many, and the oldest come first.
async fn of_gateway(setup: &Setup, running: &Running, state: HeldState) -> Result<Sum, AdminFault> {
    let state = if state == HeldState::Live { "live" } else { "expired" };
    let path = format!("/deliveries?state={state}&limit={PAGE}");
    let page: DeliveryPage = admin::get(setup, running, &path).await?;
    let mut sum = Sum::default();
    for delivery in page.items {
        sum.add(delivery.received_at.parse().map_err(|_| AdminFault::OtherForm)?, delivery.last_error);
    }
    Ok(sum)
}
