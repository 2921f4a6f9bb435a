//! Values at rest, in few bytes: JSON, compressed against another value of the same kind.
//!
//! Of hundreds of thousands of objects nearly all are at rest nearly all the time. As trees each takes some ten
//! kilobytes, as JSON two, and without what it has in common with its neighbour a few hundred bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::ObjectKey;

/// A value of an object, packed.
#[derive(Clone, Debug)]
pub struct Packed {
    // A thin pointer: there are as many of these as objects.
    sample: Arc<Box<[u8]>>,
    bytes: Box<[u8]>,
}

/// Packs values of objects. One press is for one type of value.
#[derive(Debug, Default)]
pub struct Press {
    /// By group and kind.
    samples: BTreeMap<String, BTreeMap<String, Sample>>,
}

/// What the values of a kind are compressed against.
#[derive(Debug, Default)]
struct Sample {
    value: Arc<Box<[u8]>>,
    uses: u64,
}

impl Press {
    /// Packs the value of an object; `None` if it has no JSON form.
    pub fn pack(&mut self, key: &ObjectKey, value: &impl Serialize) -> Option<Packed> {
        let json = serde_json::to_vec(value).ok()?;
        let sample = self.sample(key);
        let bytes = compress_prepend_size_with_dict(&json, &sample.value).into_boxed_slice();
        let packed = Packed { sample: Arc::clone(&sample.value), bytes };
        sample.uses += 1;
        // The first of a kind may be unlike the others. At every doubling, so that samples stay few.
        if sample.uses.is_power_of_two() && packed.bytes.len() > json.len() / 2 {
            sample.value = Arc::new(json.into_boxed_slice());
        }
        Some(packed)
    }

    fn sample(&mut self, key: &ObjectKey) -> &mut Sample {
        self.samples.entry(key.group.clone()).or_default().entry(key.kind.clone()).or_default()
    }
}

impl Packed {
    /// The value again; `None` if it was packed as another type.
    pub fn open<T: DeserializeOwned>(&self) -> Option<T> {
        let json = decompress_size_prepended_with_dict(&self.bytes, &self.sample).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(number: u32) -> Value {
        json!({
            "spec": {"queueName": format!("queue-{number}"), "visibilityTimeout": "30", "tags": {"team": "orders"}},
            "status": {"arn": format!("arn:aws:sqs:eu-west-1:000000000000:queue-{number}"), "ratio": 0.1 + f64::from(number)},
        })
    }

    #[test]
    fn what_was_packed_comes_back_and_the_second_of_a_kind_is_small() {
        let mut press = Press::default();
        let key = ObjectKey::new("g", "K", "n", "a");
        let packed: Vec<Packed> = (0..50).filter_map(|number| press.pack(&key, &value(number))).collect();
        let opened: Vec<Option<Value>> = packed.iter().map(Packed::open).collect();
        assert_eq!(opened, (0..50).map(|number| Some(value(number))).collect::<Vec<_>>());
        let raw = value(49).to_string().len();
        assert!(packed[49].bytes.len() * 3 < raw, "{} of {raw}", packed[49].bytes.len());
        assert_eq!(packed[0].open::<u32>(), None);
    }

    /// A first value unlike the others does not stay what they are compared with.
    #[test]
    fn a_bad_sample_is_replaced_and_samples_stay_few() {
        let mut press = Press::default();
        let key = ObjectKey::new("g", "K", "n", "a");
        press.pack(&key, &json!({"nothing": "alike"}));
        let all: Vec<Packed> = (0..1000).filter_map(|number| press.pack(&key, &value(number))).collect();
        let mut samples: Vec<*const u8> = all.iter().map(|packed| packed.sample.as_ptr()).collect();
        samples.sort_unstable();
        samples.dedup();
        assert!(samples.len() < 5, "{}", samples.len());
        assert!(all[999].bytes.len() * 3 < value(999).to_string().len());
    }
}
