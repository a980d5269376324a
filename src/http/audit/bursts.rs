//! Refusals of one kind from one network, counted together, so that a flood of them is two lines.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::Action;

/// Without a further refusal for so long, a burst is over.
const PAUSE: Duration = Duration::from_secs(60);
/// A burst that does not end is told of so often.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Bursts counted apart, of some 100 bytes each; further networks are counted as one.
const CAPACITY: usize = 10_000;

/// Who counts as one caller: a customer of an IPv6 provider has a /64 and may call from all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Network(Option<IpAddr>);

impl Network {
    const OTHERS: Self = Self(None);

    fn of(address: IpAddr) -> Self {
        Self(Some(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0_u128 << 64).into(),
            canonical => canonical,
        }))
    }
}

#[derive(Debug)]
struct Burst {
    began: Instant,
    last: Instant,
    count: u64,
    address: Option<IpAddr>,
}

/// A burst of several refusals that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) action: Action,
    /// The first caller's; `None`: of many networks.
    pub(super) address: Option<IpAddr>,
    pub(super) count: u64,
    pub(super) lasted: Duration,
}

/// The bursts that last.
#[derive(Debug, Default)]
pub(super) struct Bursts(Mutex<HashMap<(Action, Network), Burst>>);

impl Bursts {
    /// Counts a refusal; says which one of its burst it is, from 1.
    pub(super) fn add(&self, action: &Action, address: Option<IpAddr>, now: Instant) -> u64 {
        let mut bursts = self.0.lock();
        let mut key = (action.clone(), address.map_or(Network::OTHERS, Network::of));
        if bursts.len() >= CAPACITY && !bursts.contains_key(&key) {
            key.1 = Network::OTHERS;
        }
        let address = address.filter(|_| key.1 != Network::OTHERS);
        let burst = bursts.entry(key).or_insert(Burst { began: now, last: now, count: 0, address });
        burst.last = now;
        burst.count += 1;
        burst.count
    }

    /// Forgets the bursts that are over, and returns those that were more than one refusal.
    pub(super) fn take_ended(&self, now: Instant) -> Vec<Ended> {
        let is_over = |burst: &Burst| now - burst.last >= PAUSE || now - burst.began >= LONGEST;
        let ended: Vec<_> = self.0.lock().extract_if(|_, burst| is_over(burst)).collect();
        let told = ended.into_iter().filter(|(_, burst)| burst.count > 1);
        told.map(|((action, _), burst)| {
            let lasted = burst.last - burst.began;
            Ended { action, address: burst.address, count: burst.count, lasted }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn refusals_are_counted_by_kind_and_network() {
        let (bursts, now) = (Bursts::default(), Instant::now());
        let add = |action: &Action, from: &str| bursts.add(action, address(from), now);
        assert_eq!([1, 2].map(|_| add(&Action::ADMIN_REFUSED, "192.0.2.1")), [1, 2]);
        assert_eq!(add(&Action::ADMIN_REFUSED, "::ffff:192.0.2.1"), 3, "the same in IPv6");
        assert_eq!(add(&Action::PUPPET_REFUSED, "192.0.2.1"), 1);
        assert_eq!(add(&Action::ADMIN_REFUSED, "192.0.2.2"), 1);
        assert_eq!(add(&Action::ADMIN_REFUSED, "2001:db8::1"), 1);
        assert_eq!(add(&Action::ADMIN_REFUSED, "2001:db8:0:0:f::"), 2, "the same /64");
        assert_eq!(add(&Action::ADMIN_REFUSED, "2001:db8:0:1::1"), 1);
    }

    #[test]
    fn a_burst_ends_after_a_pause_and_is_told_when_it_was_more_than_one() {
        let (bursts, began) = (Bursts::default(), Instant::now());
        let action = Action::ADMIN_REFUSED;
        for seconds in [0, 30, 80] {
            bursts.add(&action, address("192.0.2.1"), began + Duration::from_secs(seconds));
        }
        bursts.add(&action, address("192.0.2.9"), began);
        assert_eq!(bursts.take_ended(began + Duration::from_secs(139)), []);
        let ended = bursts.take_ended(began + Duration::from_secs(140));
        let expected =
            Ended { action: action.clone(), address: address("192.0.2.1"), count: 3, lasted: Duration::from_secs(80) };
        assert_eq!(ended, [expected]);
        assert_eq!(bursts.add(&action, address("192.0.2.1"), began + Duration::from_secs(141)), 1, "a new one");
    }

    #[test]
    fn a_burst_without_an_end_is_told_every_hour() {
        let (bursts, began) = (Bursts::default(), Instant::now());
        let mut told = 0;
        for minute in 0..200 {
            let now = began + Duration::from_secs(60 * minute);
            for second in [0, 30] {
                bursts.add(&Action::ADMIN_REFUSED, address("192.0.2.1"), now + Duration::from_secs(second));
            }
            told += bursts.take_ended(now + Duration::from_secs(59)).len();
        }
        assert_eq!(told, 3);
    }

    #[test]
    fn networks_beyond_the_capacity_are_counted_as_one() {
        let (bursts, now) = (Bursts::default(), Instant::now());
        for number in 0..CAPACITY as u32 + 100 {
            bursts.add(&Action::ADMIN_REFUSED, Some(IpAddr::V4(number.into())), now);
        }
        assert_eq!(bursts.0.lock().len(), CAPACITY + 1);
        assert_eq!(bursts.add(&Action::ADMIN_REFUSED, address("0.0.0.1"), now), 2, "a known one is itself");
        assert_eq!(bursts.add(&Action::ADMIN_REFUSED, address("192.0.2.1"), now), 101);
        let ended = bursts.take_ended(now + PAUSE);
        assert!(ended.iter().any(|ended| ended.address.is_none() && ended.count == 101));
        assert!(bursts.0.lock().is_empty());
    }
}
