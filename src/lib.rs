//! # wxkf-gateway: the architecture page
//!
//! The manager gateway between WeCom customer service (微信客服, WXKF) and its bots. A company's
//! WeCom app has one callback URL and one access token, but many bots need both.
//!
//! ```text
//!  WeCom ──► callback ─┬► dispatcher ──► bots            WeCom ◄── access_token ◄── bots
//!               │ keys └► services ────► other services    ▲          │ one call per token life
//!               └─ directory, queues, held events ► store  ├─ proxy (WeCom's API, tokens healed)
//!                             (SQLite or MongoDB)          └─ manager (proof of a registration)
//! ```
//!
//! ## Three seams, each an `Arc<dyn Trait>`
//!
//! The [`store`] (durable rows), the token cache ([`access_token::TokenCache`]) and the outside world
//! (WeCom and bots over HTTP, the [`domain::Clock`]). Everything else is plain code.
//!
//! ## Who may import whom
//!
//! Arrows point down; `tests/it/architecture.rs` compares the code with the exact table.
//!
//! | room | for | stands on |
//! |---|---|---|
//! | [`cli`] | one file or folder a command | everything |
//! | [`simulator`] | a fake WeCom, a fake bot, a fake service, a customer | callback's crypto, services' signatures, egress |
//! | [`server`] | listeners: limits, drain | lifecycle, http's routes |
//! | [`router`] | every route on one page, by audience | the `routes.rs` of each room, app |
//! | [`openapi`] | the document as it is served; its head, tags, doors and webhooks, of which it is made | http, services |
//! | [`app`] | the only place that wires | all services |
//! | [`console`] | the operators' pages | admin, live |
//! | [`admin`] | what operators do, and their API | tokens, callback, dispatcher, services, store, http |
//! | [`manager`] | the registry of bots, and the proof behind it | tokens, dispatcher, store, wecom |
//! | [`callback`] | verify, open, hand on; explain what fails | dispatcher, services, store |
//! | [`proxy`] | WeCom's API through the gateway, with tokens filled in and healed; the forward proxy | tokens, http, egress |
//! | [`services`] | other services of an app: which events they take, in which form, signed how; a queue and a sender each | dispatcher's retries, store, egress |
//! | [`dispatcher`] | deliver first, store what could not be delivered | store, egress |
//! | [`access_token`] | one upstream call per token life | store, wecom, http |
//! | [`http`] | what all routes share: doors, bodies, problems, health, the record of changes | store, telemetry |
//! | [`telemetry`] | where logs, metrics and traces go | config, egress, observe |
//! | [`config`] | every setting, once | egress |
//! | [`wecom`] | the only code that talks to WeCom, and each corp's way there | store, egress |
//! | [`store`] | traits, near caches, SQLite, MongoDB, secrets at rest, `CORPS_FILE`, copies | lifecycle |
//! | [`egress`] | which addresses and hosts may be called, and every client: the courier to bots and services, the passage to WeCom, a general one; plain connections | domain |
//! | [`live`] | what this replica does just now: numbers of an hour, hops as they happen | domain |
//! | [`lifecycle`] | stop, drain, abort; the tracker of every task | |
//! | [`domain`] | values of the problem, no I/O | |
//! | [`observe`] | what rooms tell operators: families of metrics, spans of traces | |
//!
//! Services never name axum: status codes stand in `routes.rs` files, [`admin`], [`console`] and [`http`]. Only
//! [`app`] builds anything; services take values, not [`config::Config`].
//!
//! ## A callback's way
//!
//! 1. [`router`] → `callback::routes::receive`: the corp's keys from [`store::Directory`] (near, bounded),
//!    the query checked, the body read up to its limit.
//! 2. [`callback::Callbacks::receive`]: outer XML, signature, AES, receive id, inner XML. What is no
//!    `kf_msg_or_event`, and taken by no service of the corp, ends here, acknowledged.
//! 3. [`dispatcher::Dispatcher::submit`]: into the *lane* of its account. The lane is state with rules
//!    (`lane.rs`) moved by a task (`runner.rs`) that the handler only waits for, because WeCom hangs up
//!    after 5 s and a handler dies with its caller. One attempt is in flight; one place waits, for the
//!    newest.
//! 4. The bot answers 2xx: everybody whose event is not newer than the one sent is answered, and no
//!    row was ever written. Otherwise, after a second or when the bot is away, the newest event is
//!    inserted, durable, and everybody is answered. `worker.rs` claims what is due later; `presence.rs`
//!    probes bots that are away.
//!
//! Beside that, [`services::Services::take`] puts the callback into the queue of each service that takes it,
//! in one durable write (a corp without services has none to ask: they come with its keys). A service's
//! events are no pokes: each one counts, in its order. So nothing is delivered before it is stored, and one
//! sender a queue, leased among the replicas, does the rest (`sender.rs`). Both sides have it, or WeCom is
//! told to send it again.
//!
//! What is refused is answered by its class at once. Why, in the administrator's words, is found later and
//! off the way, a few times a second ([`callback::explain`]): the log and the admin API have it.
//!
//! ## A token's way
//!
//! 1. [`access_token::AccessTokens::lease`]: the near entry of the token cache; most reads end here.
//!    With Redis one that was read within five seconds, without Redis or while it is away any that lives.
//! 2. A remembered refusal answers; else one *flight* per app and process goes off, and everybody waits
//!    for it, 15 s at most.
//! 3. The flight takes a place in the budget of refusals if the secret never was a good one, waits for
//!    its turn among the replicas ([`access_token::Agreement`]), looks into the cache again, and asks WeCom.
//! 4. The token is kept with its absolute expiry and its app's secret, in Redis or in the store, unless a later one is
//!    there: a restart or another replica hands out what remains of it, and can renew it. `renewal.rs` renews what is in use
//!    before it expires.
//!
//! ## Several replicas
//!
//! Each is a whole gateway; they meet in the store and in the token cache, never one another. What one
//! changes, another reads within [`store::SHARED_FRESHNESS`]; what it does not know, it looks up before it
//! answers; now and then it reads ahead what is there. Held rows carry a lease, so that a dead replica's
//! go on at another (`worker.rs` looks every few seconds); absence of a bot stands in its row, so that
//! another probes it too (`presence.rs`); rows that another holds of an account just delivered to are
//! looked for in the background (`settling.rs`).
//! A back end that is away costs one caller its time limit, and the others nothing ([`store::Breaker`]).
//!
//! ## Where the house differs from the first plan
//!
//! - [`store::Directory`] stands between services and store: the hot path asks two questions (which
//!   keys, which bot), and a near cache belongs to one place that also takes the changes.
//! - [`admin`] is a room of its own: its resources are the operators' view, not the services'.
//! - [`app::App`] is data; [`router`] makes listeners' routers from it, so that no arrow points up.

// The binary's allocator; named here, because the lint on unused dependencies looks at the library.
use mimalloc as _;

pub mod access_token;
pub mod admin;
pub mod app;
pub mod callback;
pub mod cli;
pub mod config;
pub mod console;
pub mod dispatcher;
pub mod domain;
pub mod egress;
pub mod http;
pub mod lifecycle;
pub mod live;
pub mod manager;
pub mod observe;
pub mod openapi;
pub mod proxy;
pub mod router;
pub mod server;
pub mod services;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod wecom;
