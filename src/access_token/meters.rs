//! What is counted of access tokens.

use crate::observe::{Family, Label, Measure, Values};

/// The metrics of access tokens, and of Redis, where they are shared.
pub const METRICS: &[Family] = &[
    Family {
        name: "wxkf_access_token_requests_total",
        measure: Measure::Counter,
        labels: &[Label { name: "result", values: Values::These(&["hit", "miss", "remembered_failure", "failure"]) }],
        says: "Requests for access tokens by how they were answered",
        advice: "Nearly all are `hit`. `remembered_failure`: WeCom refused the app lately and is not asked again yet.",
    },
    Family {
        name: "wxkf_access_token_refresh_total",
        measure: Measure::Counter,
        labels: &[Label {
            name: "result",
            values: Values::These(&[
                "ok",
                "token_rejected",
                "bad_credentials",
                "not_permitted",
                "busy",
                "rate_limited",
                "caller_error",
                "budget_spent",
                "unavailable",
            ]),
        }],
        says: "Attempts to obtain an access token by what came of them",
        advice: "One an app and two hours is in order. `bad_credentials`: a secret was changed in WeCom's console. `budget_spent`: so many \
            wrong secrets that WeCom is no longer asked; find who sends them.",
    },
    Family {
        name: "wxkf_access_token_refresh_duration_seconds",
        measure: Measure::Durations,
        labels: &[],
        says: "How long upstream took to grant or refuse an access token",
        advice: "Callers without a token wait for it, 15 s at most.",
    },
    Family {
        name: "wxkf_redis_exchanges_total",
        measure: Measure::Counter,
        labels: &[Label { name: "result", values: Values::These(&["ok", "failed"]) }],
        says: "Exchanges with Redis by what came of them; none while it rests after a failure",
        advice: "`failed`: each replica serves the tokens that it has and fetches its own; bring Redis back within a token's life.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_token::TokenError;
    use crate::wecom::Class;

    #[test]
    fn every_failure_of_a_refresh_is_declared() {
        let Values::These(declared) = METRICS[1].labels[0].values else { panic!("they are known") };
        let refused = [
            Class::TokenRejected,
            Class::BadCredentials,
            Class::NotPermitted,
            Class::Transient,
            Class::RateLimited,
            Class::CallerError,
        ];
        let others = [TokenError::BudgetSpent, TokenError::Unavailable("".into())];
        for label in refused.map(Class::as_str).into_iter().chain(others.iter().map(TokenError::label)) {
            assert!(declared.contains(&label), "{label}");
        }
    }
}
