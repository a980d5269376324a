//! Every sentence of the traits' contracts as a case, for any back end. A back end joins with
//! `conformance!(crate::store::backend::open)`, where `open` makes an empty store.

pub mod audit;
pub mod corps;
pub mod leases;
pub mod model;
pub mod puppets;
pub mod queues;
pub mod rows;
pub mod stock;
pub mod tokens;

use std::any::Any;
use std::sync::Arc;

use wxkf_gateway::store::Store;

/// An empty store for one case.
pub struct Opened {
    pub store: Arc<dyn Store>,
    /// What must live as long as the store.
    pub keep: Box<dyn Any + Send>,
}

/// All cases, as tests of one back end. One that needs a server of its own says so: its tests run where
/// they are asked for.
macro_rules! conformance {
    ($open:path $(, needs $server:literal)?) => {
        $crate::store::conformance::tests_of! { $open $(, needs $server)?;
            corps: absence, replaced_as_a_whole, listed_by_id, deleted_once;
            puppets: absence, replaced_as_a_whole, one_registration_a_kf, paged_by_kf,
                pairs_are_distinct_latest_first, offline_keeps_the_rest, away_for_the_registration_that_was_seen,
                only_online_bots_are_listed_as_away, deleted_once;
            tokens: absence, the_later_fetched_stays, listed_by_app;
            rows: absence, every_field_comes_back, a_second_row_of_an_id_changes_nothing,
                settled_up_to_the_order, a_signed_delivery_settles_earlier_unsigned_rows,
                an_unsigned_delivery_settles_no_signed_row, expired_rows_are_settled_too,
                the_newest_by_trust_then_order, only_live_rows_are_newest, expiry_leaves_one_expired_row,
                expiry_of_the_older_leaves_the_newer, expiry_spares_other_accounts, revived_with_new_times,
                deleted_once, listed_by_id_and_filter, swept_when_needless_or_old,
                what_a_new_row_replaces_goes_whether_young_or_old,
                a_new_row_spares_what_it_does_not_settle, live_accounts_wait, accounts_with_rows_of_any_state_hold,
                unknown_unsigned_rows_are_counted;
            leases: due_rows_are_claimed_longest_due_first, a_lease_keeps_others_away_until_it_ends,
                concurrent_claims_share_nothing, the_next_due_counts_leases, postponed_by_its_owner_alone,
                woken_rows_are_due_and_keep_their_lease, expired_rows_are_not_worked_on;
            queues: absence, every_field_comes_back, a_repeat_is_appended_once, appended_together,
                the_oldest_live_ones_in_order, deleted_from_their_own_queue, settled_ones_are_gone, a_failed_try_is_noted, expired_ones_wait_for_nobody,
                one_leads_until_the_lease_ends, queues_that_wait, listed_by_id_and_filter, revived_to_the_front,
                trimmed_to_their_number, trimmed_to_their_bytes, dropped_with_their_service, swept_when_old;
            audit: absence, every_field_comes_back, a_second_entry_of_an_id_changes_nothing,
                listed_newest_first_page_by_page, swept_by_age_and_by_number;
            stock: absence, what_is_live_is_counted;
            model: random_interleavings_agree_with_a_model;
        }
    };
}

macro_rules! tests_of {
    ($open:path; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $($crate::store::conformance::test_of! { $open; $module; $case; })+
        })+
    };
    ($open:path, needs $server:literal; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $($crate::store::conformance::test_of! { $open; $module; $case; #[ignore = $server] })+
        })+
    };
}

macro_rules! test_of {
    ($open:path; $module:ident; $case:ident; $(#[$attribute:meta])?) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$attribute])?
        async fn $case() {
            let opened = $open().await;
            $crate::store::conformance::$module::$case(&opened.store).await;
            drop(opened.store);
            drop(opened.keep);
        }
    };
}

pub(super) use {conformance, test_of, tests_of};
