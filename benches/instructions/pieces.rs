//! What is computed for each callback, alone.

use std::hint::black_box;

use wxkf_gateway::callback::crypto;
use wxkf_gateway::callback::envelope::{Envelope, Message};
use wxkf_gateway::callback::query::SignedQuery;
use wxkf_gateway::domain::{Clock, EncodingAesKey};

use crate::events::{self, AES_KEY, Callback, News, TOKEN};
use crate::measured;

fn callback() -> anyhow::Result<(EncodingAesKey, Callback)> {
    let key = EncodingAesKey::parse(AES_KEY)?;
    let callback = events::next(News::accounts(1), &key, &Clock::default());
    Ok((key, callback))
}

/// The signature, and the plain text.
pub fn crypto(times: usize) -> anyhow::Result<()> {
    let (key, callback) = callback()?;
    let (query, envelope) = (SignedQuery::parse(&callback.query)?, Envelope::parse(callback.body.as_bytes())?);
    let open = || {
        let SignedQuery { msg_signature, timestamp, nonce, .. } = black_box(&query);
        anyhow::ensure!(crypto::verify(msg_signature, TOKEN, timestamp, nonce, &envelope.encrypted), "not genuine");
        black_box(crypto::decrypt(key.key(), &envelope.encrypted)?);
        Ok(())
    };
    measured(|| (0..times).try_for_each(|_| open()))
}

/// The query, the outer and the inner XML.
pub fn envelope(times: usize) -> anyhow::Result<()> {
    let (key, callback) = callback()?;
    let envelope = Envelope::parse(callback.body.as_bytes())?;
    let opened = crypto::decrypt(key.key(), &envelope.encrypted)?;
    let read = || {
        black_box(SignedQuery::parse(black_box(&callback.query))?);
        black_box(Envelope::parse(black_box(callback.body.as_bytes()))?);
        black_box(Message::parse(black_box(&opened.message))?);
        Ok(())
    };
    measured(|| (0..times).try_for_each(|_| read()))
}
