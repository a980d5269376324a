//! A number of the last hour as a small chart: one bar a minute, drawn here, because a page may hold no
//! style of its own and needs no script for it.

use crate::live::LastHour;

/// The drawing's box is 240 by 48, as the template says; the page stretches it.
const HEIGHT: u32 = 48;
const STEP: usize = 4;

/// The bars as the path of an SVG.
pub(super) fn bars(hour: &LastHour) -> String {
    let peak = hour.peak().max(1);
    let minutes = hour.minutes().iter().enumerate().filter(|(_, number)| **number > 0);
    let bar = |(minute, number): (usize, &u32)| {
        // The smallest number is seen, too.
        let height = (f64::from(*number) / f64::from(peak) * f64::from(HEIGHT)).max(2.0);
        format!("M{} {HEIGHT}v-{height:.1}h3v{height:.1}z", minute * STEP)
    };
    minutes.map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;
    use crate::live::{Live, Rate};

    #[test]
    fn every_minute_with_something_has_a_bar_within_the_box() {
        let live = Live::new(Clock::default());
        assert_eq!(bars(&live.last_hour(Rate::Proxied)), "");
        live.count(Rate::Proxied);
        let path = bars(&live.last_hour(Rate::Proxied));
        assert!(path.starts_with('M') && path.ends_with("v-48.0h3v48.0z"), "{path}");
        assert_eq!(live.last_hour(Rate::Proxied).minutes().len() * STEP, 240);
    }
}
