//! WeCom's error codes, as far as its simulator answers with them (WeCom document 90313).
//!
//! Every refusal says in its `why`, for the journal alone, which rule was broken; WeCom's own
//! `errmsg` is as short as the real one.

/// An answer other than `errcode` 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: i64,
    pub why: String,
}

impl Refusal {
    pub fn new(code: i64, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

pub(super) const BUSY: i64 = -1;
pub(super) const BAD_SECRET: i64 = 40001;
pub(super) const BAD_MEDIA_TYPE: i64 = 40004;
pub(super) const BAD_FILE_SIZE: i64 = 40006;
pub(super) const BAD_MEDIA_ID: i64 = 40007;
pub(super) const BAD_CORP_ID: i64 = 40013;
pub(super) const BAD_TOKEN: i64 = 40014;
pub(super) const BAD_PARAMETER: i64 = 40058;
pub(super) const NO_TOKEN: i64 = 41001;
pub(super) const NO_CORP_ID: i64 = 41002;
pub(super) const NO_SECRET: i64 = 41004;
pub(super) const TOKEN_EXPIRED: i64 = 42001;
pub(super) const EMPTY_MEDIA: i64 = 44001;
pub(super) const TOO_LARGE: i64 = 45001;
pub(super) const TOO_OFTEN: i64 = 45009;
pub(super) const TOO_MANY_AT_ONCE: i64 = 45033;
pub(super) const NOT_JSON: i64 = 47001;
pub(super) const KF_NOT_GRANTED: i64 = 48002;
pub(super) const ADDRESS_NOT_TRUSTED: i64 = 60020;
pub(super) const BAD_ACCOUNT: i64 = 95000;
pub(super) const FIVE_MESSAGES_SENT: i64 = 95001;
pub(super) const OUTSIDE_48_HOURS: i64 = 95002;
pub(super) const BAD_SYNC_TOKEN: i64 = 95007;
pub(super) const BAD_EVENT_CODE: i64 = 95013;
pub(super) const STATE_NOT_ALLOWED: i64 = 95016;
pub(super) const NEEDS_RANGE: i64 = 830_002;

/// The `errmsg` of a code. Only the code counts: WeCom changes its texts (document 90455).
pub(super) fn message(code: i64) -> &'static str {
    match code {
        0 => "ok",
        BUSY => "system busy",
        BAD_SECRET => "invalid credential",
        BAD_MEDIA_TYPE => "invalid media type",
        BAD_FILE_SIZE => "invalid media size",
        BAD_MEDIA_ID => "invalid media_id",
        BAD_CORP_ID => "invalid corpid",
        BAD_TOKEN => "invalid access_token",
        BAD_PARAMETER => "invalid Request Parameter",
        NO_TOKEN => "access_token missing",
        NO_CORP_ID => "corpid missing",
        NO_SECRET => "corpsecret missing",
        TOKEN_EXPIRED => "access_token expired",
        EMPTY_MEDIA => "empty media data",
        TOO_LARGE => "media size out of limit",
        TOO_OFTEN => "api freq out of limit",
        TOO_MANY_AT_ONCE => "api concurrent out of limit",
        NOT_JSON => "data format error",
        KF_NOT_GRANTED => "api forbidden",
        ADDRESS_NOT_TRUSTED => "not allow to access from your ip",
        BAD_ACCOUNT => "invalid open_kfid",
        FIVE_MESSAGES_SENT => "send msg count limit",
        OUTSIDE_48_HOURS => "send msg time limit",
        BAD_SYNC_TOKEN => "invalid msg token",
        BAD_EVENT_CODE => "invalid event code",
        STATE_NOT_ALLOWED => "service state transfer not allowed",
        NEEDS_RANGE => "file too large, use Range",
        _ => "error",
    }
}
