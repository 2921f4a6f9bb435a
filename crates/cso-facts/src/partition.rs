//! AWS partitions: which regions belong together, and their DNS suffix.

/// One partition, for example `aws` or `aws-cn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Also the second field of every ARN in it.
    pub name: String,
    /// For example `amazonaws.com`.
    pub dns_suffix: String,
    /// Region that signs for global services.
    pub global_region: String,
    /// First parts of its regions' names, sorted: `eu` covers `eu-west-1` and any later `eu-WORD-NUMBER`.
    pub prefixes: Vec<String>,
    /// Known regions and pseudo regions (`aws-global`), sorted.
    pub regions: Vec<String>,
}

impl Partition {
    /// Whether the region belongs to this partition: a known one, or one that is shaped like its regions.
    pub fn covers(&self, region: &str) -> bool {
        self.regions.iter().any(|known| known == region)
            || self.prefixes.iter().any(|prefix| region.strip_prefix(prefix.as_str()).is_some_and(is_word_and_number))
    }
}

/// The partition of a region.
pub fn of_region<'a>(partitions: &'a [Partition], region: &str) -> Option<&'a Partition> {
    partitions.iter().find(|partition| partition.covers(region))
}

/// `-WORD-NUMBER`, as every region's name ends.
fn is_word_and_number(tail: &str) -> bool {
    let mut parts = tail.split('-');
    let (empty, word, number, end) = (parts.next(), parts.next(), parts.next(), parts.next());
    empty == Some("")
        && word.is_some_and(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        && number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        && end.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(name: &str, prefixes: &[&str], regions: &[&str]) -> Partition {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Partition {
            name: name.into(),
            dns_suffix: "example.com".into(),
            global_region: "us-east-1".into(),
            prefixes: owned(prefixes),
            regions: owned(regions),
        }
    }

    #[test]
    fn regions_find_their_partition() {
        let all = [partition("aws", &["eu", "us"], &["aws-global"]), partition("aws-us-gov", &["us-gov"], &[])];
        let name = |region| of_region(&all, region).map(|partition| partition.name.as_str());
        assert_eq!(name("eu-west-1"), Some("aws"));
        assert_eq!(name("eu-nowhere-9"), Some("aws"), "a region newer than the facts");
        assert_eq!(name("us-gov-west-1"), Some("aws-us-gov"), "`us` must not swallow it");
        assert_eq!(name("aws-global"), Some("aws"));
        for unknown in ["", "eu", "eu-west", "eu-west-x", "eu-west-1-a", "mars-north-1"] {
            assert_eq!(name(unknown), None, "{unknown}");
        }
    }
}
