//! Values of flags that are more than a word or a number.

/// Reads `NAME=VALUE`. The value may hold more `=`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("'{text}' is not NAME=VALUE")),
    }
}

/// Reads a number of bytes: `1048576`, `1024K`, `1M` (binary multiples: K, M, G, T, also as KiB, MiB, ...).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a number of bytes such as 4096, 64K, 1M or 10G");
    let digits_end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let shift = match unit.trim().trim_end_matches("iB").trim_end_matches('B') {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Reads a time: milliseconds since the Unix epoch, or `2026-01-31T12:00:00Z` (UTC, seconds may have a fraction).
pub(crate) fn time_ms(text: &str) -> Result<i64, String> {
    if let Ok(milliseconds) = text.parse() {
        return Ok(milliseconds);
    }
    rfc3339_utc(text).ok_or_else(|| {
        format!("'{text}' is not a time: give milliseconds since 1970, or UTC as in 2026-01-31T12:00:00Z")
    })
}

fn rfc3339_utc(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>());
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.splitn(3, ':').map(|part| part.parse::<f64>());
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    let sound = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0.0..24.0).contains(&hour)
        && (0.0..60.0).contains(&minute)
        && (0.0..61.0).contains(&second);
    let of_day_ms = ((hour * 3600.0 + minute * 60.0 + second) * 1000.0).round() as i64;
    sound.then(|| days_since_1970(year, month, day) * 86_400_000 + of_day_ms)
}

/// Writes a time, in milliseconds since the Unix epoch, as `2026-01-31T12:00:00Z`.
pub(crate) fn utc(ms: i64) -> String {
    let (days, second) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The day that is so many days after 1970-01-01: the inverse of [`days_since_1970`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (era * 400 + year, month, day)
}

/// Days from 1970-01-01 in the Gregorian calendar, counted in eras of 400 years that begin on a March 1st.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("64K"), Ok(65_536));
        assert_eq!(bytes("1MiB"), Ok(1 << 20));
        assert_eq!(bytes("3gB"), Ok(3 << 30));
        for wrong in ["", "K", "1X", "-1", "99999999999T", "1.5M"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time_ms("1700000000123"), Ok(1_700_000_000_123));
        assert_eq!(time_ms("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(time_ms("2024-02-29T12:34:56.789Z"), Ok(1_709_210_096_789));
        assert_eq!(time_ms("2000-03-01 00:00:00Z"), Ok(951_868_800_000));
        for wrong in
            ["now", "2024-02-29", "2024-13-01T00:00:00Z", "2024-01-01T25:00:00Z", "2024-01-01T00:00:00+01:00"]
        {
            assert!(time_ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        assert_eq!(utc(1_709_210_096_789), "2024-02-29T12:34:56Z");
        for day in (-200_000..200_000).step_by(37) {
            let ms = day * 86_400_000 + 86_399_000;
            assert_eq!(time_ms(&utc(ms)), Ok(ms));
        }
    }

    #[test]
    fn pairs() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("=b").is_err() && pair("ab").is_err());
    }
}
