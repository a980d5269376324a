//! A customer of an account: writes, and waits for the answer.

use std::time::{Duration, Instant};

use super::wecom::{Delivery, Happening, Wecom};

/// One person who talks to one account.
#[derive(Debug, Clone)]
pub struct Customer {
    wecom: Wecom,
    corp: String,
    open_kf_id: String,
    id: String,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// What became of the callback; `None` while WeCom was still repeating it.
    pub callback: Option<Delivery>,
    /// The first message to the customer since it wrote, and how long that took.
    pub answer: Option<(String, Duration)>,
}

impl Customer {
    pub fn new(wecom: &Wecom, corp: &str, open_kf_id: &str, id: &str) -> Self {
        let own = str::to_owned;
        Self { wecom: wecom.clone(), corp: own(corp), open_kf_id: own(open_kf_id), id: own(id) }
    }

    /// The external user id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes and waits, at most `limit`, for the next message of the account.
    pub async fn asks(&self, text: &str, limit: Duration) -> Talk {
        let began = Instant::now();
        let mut news = self.wecom.journal().follow();
        let mut callback = None;
        let writing = self.wecom.customer_writes(&self.corp, &self.open_kf_id, &self.id, text);
        tokio::pin!(writing);
        let listening = async {
            loop {
                match news.recv().await {
                    Ok(entry) => {
                        if let Some(text) = self.is_told(entry.what) {
                            return Some((text, began.elapsed()));
                        }
                    }
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
                }
            }
        };
        tokio::pin!(listening);
        let until = tokio::time::sleep(limit);
        tokio::pin!(until);
        let mut answer = None;
        while answer.is_none() || callback.is_none() {
            tokio::select! {
                delivery = &mut writing, if callback.is_none() => callback = Some(delivery),
                heard = &mut listening, if answer.is_none() => match heard {
                    Some(heard) => answer = Some(heard),
                    None => break,
                },
                () = &mut until => break,
            }
        }
        Talk { callback, answer }
    }

    fn is_told(&self, what: Happening) -> Option<String> {
        match what {
            Happening::CustomerAnswered { customer, open_kf_id, text, .. }
                if customer == self.id && open_kf_id == self.open_kf_id =>
            {
                Some(text)
            }
            _ => None,
        }
    }

    /// Writes one text after another, `every` so often, until it is dropped. Does not wait for
    /// answers: a customer who is not answered writes again.
    pub async fn writes_every(&self, every: Duration, mut texts: impl Iterator<Item = String>) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(text) = texts.next() else { return };
            self.wecom.customer_writes(&self.corp, &self.open_kf_id, &self.id, &text).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::bot::testkit::{Manager, bot};
    use crate::simulator::wecom::Attempt;
    use crate::simulator::wecom::testkit::{hasty, wecom};

    /// Without a gateway in between: WeCom calls the bot itself, which takes that for a dispatch.
    #[tokio::test]
    async fn is_answered_by_a_bot() {
        let wecom = wecom(hasty()).await;
        let manager = Manager::start().await;
        let bot = bot(&wecom, &manager.url(), |_| ()).await;
        assert!(bot.ready(Duration::from_secs(10)).await);
        wecom.set_callback_url("ww1", &format!("{}/callback", bot.endpoint()));
        let talk = Customer::new(&wecom, "ww1", "wk1", "customer").asks("hello", Duration::from_secs(10)).await;
        assert_eq!(talk.callback, Some(Delivery::Sent(vec![Attempt::Accepted])));
        assert_eq!(talk.answer.unwrap().0, "you wrote: hello");
    }

    #[tokio::test]
    async fn waits_no_longer_than_told() {
        let wecom = wecom(hasty()).await;
        let talk = Customer::new(&wecom, "ww1", "wk1", "customer").asks("hello", Duration::from_millis(20)).await;
        assert_eq!((talk.callback, talk.answer), (Some(Delivery::NoCallbackUrl), None));
    }

    #[tokio::test]
    async fn writes_one_text_after_another() {
        let wecom = wecom(hasty()).await;
        let customer = Customer::new(&wecom, "ww1", "wk1", "customer");
        customer.writes_every(Duration::from_millis(1), ["a", "b"].map(str::to_owned).into_iter()).await;
        let wrote = |what: Happening| if let Happening::CustomerWrote { text, .. } = what { Some(text) } else { None };
        let texts: Vec<String> = wecom.journal().entries().into_iter().filter_map(|entry| wrote(entry.what)).collect();
        assert_eq!(texts, ["a", "b"]);
    }
}
