//! Days until a secret or certificate runs out.

use jiff::civil::Date;

/// From so many days before, it is told: a new one needs somebody with rights in Entra, who may be on
/// holiday.
pub const EXPIRY_WARNING_DAYS: i32 = 30;

/// From `today` to `on`; negative when that has passed.
pub fn days_until(on: Date, today: Date) -> i32 {
    today.until(on).map_or(i32::MAX, |span| span.get_days())
}

/// `runs out on 2027-05-01, in 12 days`
pub fn runs_out(on: Date, today: Date) -> String {
    match days_until(on, today) {
        days @ ..-1 => format!("ran out on {on}, {} days ago", days.unsigned_abs()),
        -1 => format!("ran out on {on}, yesterday"),
        0 => format!("runs out on {on}, today"),
        1 => format!("runs out on {on}, tomorrow"),
        days => format!("runs out on {on}, in {days} days"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_counted_over_months_and_years() {
        let today = date(2026, 12, 20);
        for (on, days, text) in [
            (
                date(2026, 11, 20),
                -30,
                "ran out on 2026-11-20, 30 days ago",
            ),
            (date(2026, 12, 19), -1, "ran out on 2026-12-19, yesterday"),
            (date(2026, 12, 20), 0, "runs out on 2026-12-20, today"),
            (date(2026, 12, 21), 1, "runs out on 2026-12-21, tomorrow"),
            (date(2027, 1, 19), 30, "runs out on 2027-01-19, in 30 days"),
            (
                date(2028, 12, 20),
                731,
                "runs out on 2028-12-20, in 731 days",
            ),
        ] {
            assert_eq!(days_until(on, today), days);
            assert_eq!(runs_out(on, today), text);
        }
    }
}
