//! Every sentence of `TokenCache` and `Agreement` as a case, for any back end. A back end joins with
//! `conformance!`, where `open` makes an empty cache as two replicas see it.

pub(super) mod agreement;
pub(super) mod budget;
pub(super) mod tokens;

use std::any::Any;
use std::sync::Arc;

use wxkf_gateway::access_token::TokenCache;
use wxkf_gateway::domain::Clock;

/// An empty cache for one case.
pub(super) struct Opened {
    pub(super) one: Arc<dyn TokenCache>,
    pub(super) other: Arc<dyn TokenCache>,
    /// Of both.
    pub(super) clock: Clock,
    /// What must live as long as the cache.
    pub(super) keep: Box<dyn Any + Send>,
}

/// All cases, as tests of one back end, each with this attribute.
macro_rules! conformance {
    ($open:path; #[$attribute:meta]) => {
        $crate::token_cache::conformance::tests_of! { $open; #[$attribute]
            tokens: absence, every_field_comes_back, the_later_fetched_stands, another_replicas_token_is_seen,
                an_expired_token_is_still_known, owners_are_known_for_two_hours_more, a_corp_has_obtained_one,
                all_are_listed;
            agreement: a_refusal_is_heard_of, a_refusal_is_forgotten, refusals_in_a_row_are_remembered_longer,
                forced_once_a_minute, a_forced_renewal_can_be_forgotten;
            budget: a_corp_has_twenty_an_hour, unknown_corps_share_a_hundred, five_hundred_in_all,
                what_is_given_back_is_free, open_answers_are_waited_for;
        }
    };
}

macro_rules! tests_of {
    ($open:path; #[$attribute:meta] $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[$attribute]
            async fn $case() {
                let opened = $open().await;
                $crate::token_cache::conformance::$module::$case(&opened).await;
                drop(opened.keep);
            })+
        })+
    };
}

pub(super) use {conformance, tests_of};
