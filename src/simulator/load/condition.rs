//! The conditions that bots are in, and how many are in each.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// How a bot meets what is sent to it, until everything heals at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Up,
    /// Answers late.
    Slow,
    /// Answers 500.
    Refusing,
    /// Its port refuses connections.
    Absent,
    /// Goes and comes: its port refuses connections, then it listens, registers, and is ready a
    /// while after that, as an unmodified bot does.
    Restarting,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Slow => "slow",
            Self::Refusing => "refusing",
            Self::Absent => "absent",
            Self::Restarting => "restarting",
        })
    }
}

/// How many bots are in each condition, in proportion to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shares {
    up: u32,
    slow: u32,
    refusing: u32,
    absent: u32,
    restarting: u32,
}

impl Shares {
    /// Every bot is up.
    pub const ALL_UP: Self = Self { up: 100, slow: 0, refusing: 0, absent: 0, restarting: 0 };

    fn each(&self) -> [(Condition, u32); 5] {
        [
            (Condition::Up, self.up),
            (Condition::Slow, self.slow),
            (Condition::Refusing, self.refusing),
            (Condition::Absent, self.absent),
            (Condition::Restarting, self.restarting),
        ]
    }

    /// The condition of a bot. Multiples of the golden ratio spread evenly, so that any stretch of
    /// bots has every condition in its share.
    pub(super) fn of(&self, bot: usize) -> Condition {
        const GOLDEN: u32 = 2_654_435_769;
        let total: u64 = self.each().iter().map(|&(_, share)| u64::from(share)).sum();
        let spread = u32::try_from(bot).unwrap_or(u32::MAX).wrapping_mul(GOLDEN);
        let mut place = (u64::from(spread) * total) >> 32;
        for (condition, share) in self.each() {
            match place.checked_sub(u64::from(share)) {
                Some(rest) => place = rest,
                None => return condition,
            }
        }
        Condition::Up
    }
}

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut shares = Self { up: 0, ..Self::ALL_UP };
        for part in text.split(',') {
            let (name, share) = part.split_once('=').ok_or_else(|| format!("`{part}` is no `condition=share`"))?;
            let place = match name.trim() {
                "up" => &mut shares.up,
                "slow" => &mut shares.slow,
                "refusing" => &mut shares.refusing,
                "absent" => &mut shares.absent,
                "restarting" => &mut shares.restarting,
                other => return Err(format!("`{other}` is none of up, slow, refusing, absent, restarting")),
            };
            let share: u16 = share.trim().parse().map_err(|_| format!("`{share}` is no share: 0 to 65535"))?;
            *place = share.into();
        }
        if shares.each().iter().all(|&(_, share)| share == 0) {
            return Err("somebody must be there: up=100".to_owned());
        }
        Ok(shares)
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { up, slow, refusing, absent, restarting } = self;
        write!(f, "up={up},slow={slow},refusing={refusing},absent={absent},restarting={restarting}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stretch_has_every_condition_in_its_share() {
        let shares: Shares = "up=60,slow=10,refusing=10,absent=10,restarting=10".parse().unwrap();
        for start in [0, 777, 54_321] {
            let slow = (start..start + 1_000).filter(|&bot| shares.of(bot) == Condition::Slow).count();
            assert!((97..=103).contains(&slow), "{slow} of 1,000 from {start}");
        }
        assert!((0..500).all(|bot| Shares::ALL_UP.of(bot) == Condition::Up));
    }

    #[test]
    fn reads_back_what_it_shows_and_names_what_is_wrong() {
        let shares: Shares = "absent=1, up=3".parse().unwrap();
        assert_eq!(shares.to_string().parse::<Shares>().unwrap(), shares);
        for (text, fault) in [("up", "`up`"), ("down=1", "`down`"), ("up=-1", "`-1`"), ("up=0", "somebody")] {
            assert!(text.parse::<Shares>().unwrap_err().contains(fault), "{text}");
        }
    }
}
