//! Values to store. Times are seconds after one moment, so that they can be compared at a glance.

use std::sync::Arc;

use jiff::Timestamp;
use wxkf_gateway::domain::{
    Account, Action, Actor, AppKey, AuditEntry, AuditId, CallbackCredential, Content, Corp, CorpId, CorpSource, Digest,
    EncodingAesKey, Endpoint, EventId, Fingerprint, KfEvent, OpenKfId, Order, Pair, Payload, Puppet, RawCallback,
    Secret, Service, ServiceEvent, ServiceFormat, ServiceKey, ServiceName, ServiceUrl, Trust,
};
use wxkf_gateway::store::{HeldEvent, HeldState, Lease, QueuedEvent, Settled, StoredToken, Superseded};

pub const START: i64 = 1_780_000_000;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

pub fn corp_id(text: &str) -> CorpId {
    CorpId::parse(text).unwrap()
}

pub fn kf_id(text: &str) -> OpenKfId {
    OpenKfId::parse(text).unwrap()
}

pub fn account(corp: &str, kf: &str) -> Account {
    Account { corp: corp_id(corp), kf: kf_id(kf) }
}

/// A key of its own for each letter.
pub fn aes_key(letter: char) -> EncodingAesKey {
    EncodingAesKey::parse(&letter.to_string().repeat(43)).unwrap()
}

pub fn credential(token: &str, letter: char) -> CallbackCredential {
    Pair::new(Secret::new(token), aes_key(letter)).into()
}

pub fn corp(id: &str) -> Corp {
    let mut with_ids = credential("seeded-corp-token", 'A');
    with_ids.receive_ids = vec![String::new(), "ww-other".into()];
    with_ids.label = Some("老的 \"one\"".into());
    Corp {
        id: corp_id(id),
        source: CorpSource::Admin,
        credentials: vec![with_ids, credential("second-token", 'B')],
        wecom_proxy: Some(Secret::new("http://user:seeded-proxy@proxy:3128")),
        services: vec![service("contacts", Some("whsec_seeded-service-secret")), service("erp", None)],
        updated_at: at(1),
    }
}

pub fn service(name: &str, secret: Option<&str>) -> Service {
    Service {
        name: ServiceName::parse(name).unwrap(),
        url: ServiceUrl::parse("https://service:8443/hook/?a=1%2F2").unwrap(),
        events: vec!["*".into(), "!change_contact.create_user".into()],
        format: ServiceFormat::AsReceived,
        secret: secret.map(Secret::new),
        ttl: std::time::Duration::from_secs(86_400),
    }
}

pub fn queue(corp_and_name: &str) -> ServiceKey {
    ServiceKey::parse(corp_and_name).unwrap()
}

/// A live event of the queue that arrived so many seconds after the start.
pub fn queued(service: &ServiceKey, arrival: i64) -> QueuedEvent {
    QueuedEvent {
        event: ServiceEvent {
            id: EventId::in_order(at(arrival)),
            service: service.clone(),
            webhook_id: format!("msg_{arrival}").into(),
            name: "change_contact.create_user".into(),
            arrived_at: at(arrival),
            content: Content::Plain(format!("<xml><N>{arrival}</N></xml>").into()),
        },
        state: HeldState::Live,
        expires_at: at(arrival + 86_400),
        due_at: at(arrival),
        attempts: 0,
        refusals: 0,
        last_error: None,
    }
}

/// With every field filled with something that is easily lost.
pub fn full_queued(service: &ServiceKey) -> QueuedEvent {
    let mut queued = queued(service, 7);
    queued.event.content = Content::Raw {
        query: "msg_signature=a%2Bb&timestamp=1&nonce=+".into(),
        body: (0..=255).collect::<Vec<u8>>().into(),
    };
    queued.event.arrived_at = at(7) + std::time::Duration::from_millis(123);
    (queued.state, queued.due_at) = (HeldState::Expired, at(8));
    (queued.attempts, queued.refusals, queued.last_error) = (u32::MAX, 5, Some("拒绝 connection".into()));
    queued
}

pub fn puppet(corp: &str, kf: &str) -> Puppet {
    Puppet {
        kf_id: kf_id(kf),
        name: "客服 'one'".into(),
        endpoint: Endpoint::parse("http://bot:8080/base").unwrap(),
        corp_id: corp_id(corp),
        corp_secret: Secret::new("seeded-corp-secret"),
        pair: Pair::new(Secret::new("seeded-bot-token"), aes_key('C')),
        online: true,
        last_online_at: Some(at(2)),
        registered_at: Some(at(1)),
        away_since: None,
    }
}

pub fn token(corp: &str, secret: &str, fetched: i64) -> StoredToken {
    StoredToken {
        app: AppKey { corp_id: corp_id(corp), secret: Secret::new(secret).fingerprint() },
        access_token: Secret::new(format!("seeded-access-token-{fetched}")),
        fetched_at: at(fetched),
        expires_at: at(fetched + 7_200),
        renewed_to_same: fetched % 2 == 1,
        corp_secret: Some(Secret::new(secret)),
        superseded: vec![Superseded { token: Secret::new("an earlier one").fingerprint(), until: at(fetched + 60) }],
    }
}

/// An operator's, made at that second.
pub fn audit_entry(seconds: i64) -> AuditEntry {
    AuditEntry {
        id: AuditId::new(at(seconds)),
        at: at(seconds),
        actor: Actor::Admin,
        address: Some([127, 0, 0, 1].into()),
        action: Action::CORP_PUT,
        subject: "ww1".into(),
        detail: "a credential was added".into(),
    }
}

/// An event created and arrived so many seconds after the start.
pub fn event(account: &Account, created: i64, arrival: i64, trust: Trust) -> KfEvent {
    KfEvent {
        id: EventId::new(at(arrival)),
        account: account.clone(),
        order: Order { created: START + created, arrival: at(arrival).as_millisecond() },
        trust,
        digest: Digest::of(&arrival.to_be_bytes()),
        born_at: at(created),
        payload: Payload { sync_token: Some("ENC-token".into()), extra: serde_json::Map::new(), raw: None },
    }
}

/// A live row that is due when it arrived.
pub fn held(event: KfEvent) -> HeldEvent {
    let due_at = event.arrival();
    let expires_at = event.born_at + std::time::Duration::from_secs(585);
    HeldEvent {
        event: event.into(),
        state: HeldState::Live,
        expires_at,
        due_at,
        attempts: 0,
        last_error: None,
        lease: None,
    }
}

/// A signed live row, created when it arrived.
pub fn signed(account: &Account, arrival: i64) -> HeldEvent {
    held(event(account, arrival, arrival, Trust::Signed))
}

pub fn unsigned(account: &Account, arrival: i64) -> HeldEvent {
    held(event(account, arrival, arrival, Trust::Unsigned))
}

pub fn lease(owner: &str, until: i64) -> Lease {
    Lease { owner: owner.into(), until: at(until) }
}

pub fn settled_by(held: &HeldEvent) -> Settled {
    Settled { order: held.event.order, trust: held.event.trust }
}

/// A row with every field filled with something that is easily lost.
pub fn full_row(account: &Account) -> HeldEvent {
    let mut row = signed(account, 7);
    let extra = serde_json::json!({
        "zeta": 1, "alpha": { "b": [null, true], "a": "\u{0}\u{1f600}\"" },
        "float": 0.1 + 0.2, "tiny": 5e-324, "big": u64::MAX, "negative": i64::MIN,
    });
    Arc::make_mut(&mut row.event).payload = Payload {
        sync_token: Some("令牌".into()),
        extra: extra.as_object().unwrap().clone(),
        raw: Some(RawCallback {
            query: "msg_signature=a%2Bb&timestamp=1&nonce=+".into(),
            body: (0..=255).collect::<Vec<u8>>().into(),
            credential: Fingerprint::of(&[b"pair"]),
        }),
    };
    row.attempts = u32::MAX;
    row.last_error = Some("拒绝 connection".into());
    row.lease = Some(lease("replica-1", 60));
    row.due_at = at(3) + std::time::Duration::from_millis(123);
    row
}
