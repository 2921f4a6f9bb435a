//! Timestamps: RFC 3339 text in values, three forms on the wire.

use cso_facts::api::TimestampFormat;
use jiff::Timestamp;
use jiff::fmt::strtime;
use serde_json::{Number, Value};

use super::InputError;

const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// Reads any of the wire forms: RFC 3339 with any offset, an HTTP date, seconds since 1970 with or without a fraction.
pub fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        return from_seconds(seconds);
    }
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    // An HTTP date may carry a fraction, which the calendar syntax has no place for.
    let (whole, fraction) = match text.strip_suffix(" GMT")?.split_once('.') {
        Some((whole, fraction)) => (format!("{whole} GMT"), format!("0.{fraction}").parse::<f64>().ok()?),
        None => (text.to_owned(), 0.0),
    };
    let time = strtime::parse(HTTP_DATE, whole).ok()?.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    from_seconds(fraction).and_then(|part| {
        time.timestamp().checked_add(jiff::SignedDuration::from_nanos(i64::from(part.subsec_nanosecond()))).ok()
    })
}

/// Reads the form of values: RFC 3339 text, or a number of seconds since 1970.
pub(super) fn from_value(value: &Value) -> Result<Timestamp, InputError> {
    match value {
        Value::Number(seconds) => seconds.as_f64().and_then(from_seconds),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| InputError::new("must be a time such as 2026-01-02T03:04:05Z"))
}

/// Text of a wire form.
pub(super) fn text(time: Timestamp, format: TimestampFormat) -> String {
    match format {
        TimestampFormat::DateTime => time.to_string(),
        TimestampFormat::HttpDate => time.strftime(HTTP_DATE).to_string(),
        TimestampFormat::EpochSeconds => seconds(time).to_string(),
    }
}

/// Seconds since 1970: a whole number unless there is a fraction, cut to milliseconds as AWS keeps them.
pub(super) fn seconds(time: Timestamp) -> Number {
    if time.subsec_nanosecond() == 0 {
        return time.as_second().into();
    }
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double for 285,000 years")]
    let seconds = time.as_millisecond() as f64 / 1000.0;
    Number::from_f64(seconds).unwrap_or_else(|| time.as_second().into())
}

fn from_seconds(seconds: f64) -> Option<Timestamp> {
    // Whole milliseconds: what a double in seconds carries beyond is noise.
    let milliseconds = (seconds * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates and the calendar refuses the rest")]
    let milliseconds = milliseconds.is_finite().then_some(milliseconds as i64)?;
    Timestamp::from_millisecond(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_wire_form() {
        for (text, expected) in [
            ("1398796238", "2014-04-29T18:30:38Z"),
            ("1398796238.5", "2014-04-29T18:30:38.5Z"),
            ("1.398796238E9", "2014-04-29T18:30:38Z"),
            ("2014-04-29T18:30:38Z", "2014-04-29T18:30:38Z"),
            ("2019-12-16T22:48:18-01:00", "2019-12-16T23:48:18Z"),
            ("Tue, 29 Apr 2014 18:30:38 GMT", "2014-04-29T18:30:38Z"),
            ("Sun, 02 Jan 2000 20:34:56.456 GMT", "2000-01-02T20:34:56.456Z"),
        ] {
            assert_eq!(parse(text).map(|time| time.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "NaN", "1e300"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_every_wire_form() {
        let time: Timestamp = "2014-04-29T18:30:38.5Z".parse().unwrap();
        assert_eq!(text(time, TimestampFormat::DateTime), "2014-04-29T18:30:38.5Z");
        assert_eq!(text(time, TimestampFormat::EpochSeconds), "1398796238.5");
        assert_eq!(text(time, TimestampFormat::HttpDate), "Tue, 29 Apr 2014 18:30:38 GMT");
    }
}
