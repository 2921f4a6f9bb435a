//! Repeated measurements, told as median and spread.

use std::fmt;
use std::time::Duration;

/// Measurements of one thing; at least one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    /// `None` without a measurement.
    pub(super) fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    /// Milliseconds.
    pub(super) fn millis(times: &[Duration]) -> Option<Self> {
        Self::new(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// The smallest value that at least this share of all values does not exceed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among a few thousand samples"
    )]
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    pub(super) fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    pub(super) fn min(&self) -> f64 {
        self.percentile(0.0)
    }

    pub(super) fn max(&self) -> f64 {
        self.percentile(100.0)
    }
}

/// `12.3 (11.9 to 14.0)`: median, smallest and largest.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, min, max) = (self.median(), self.min(), self.max());
        let digits = if median < 10.0 { 2 } else { usize::from(median < 1000.0) };
        write!(f, "{median:.digits$} ({min:.digits$} to {max:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_of_real_measurements() {
        let samples = Samples::new((1..=200).rev().map(f64::from).collect()).unwrap();
        let told = [samples.min(), samples.median(), samples.percentile(99.0), samples.max()];
        assert_eq!(told.map(|value| value.to_string()), ["1", "100", "198", "200"]);
        assert_eq!(Samples::new(vec![7.0]).unwrap().percentile(99.0).to_string(), "7");
        assert_eq!(Samples::new(Vec::new()), None);
    }

    #[test]
    fn the_digits_follow_the_size() {
        let told = |values: &[f64]| Samples::new(values.to_vec()).unwrap().to_string();
        assert_eq!(told(&[1.0, 2.0, 3.0]), "2.00 (1.00 to 3.00)");
        assert_eq!(told(&[12.34]), "12.3 (12.3 to 12.3)");
        assert_eq!(told(&[1234.5]), "1234 (1234 to 1234)");
    }
}
