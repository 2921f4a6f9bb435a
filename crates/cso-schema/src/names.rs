//! Matching of names across spellings: `kmsMasterKeyID`, `KmsMasterKeyId` and `KMS-master-key-id` are one name.

/// Whether two names are equal when case and punctuation do not count.
pub fn same_name(a: &str, b: &str) -> bool {
    letters(a).eq(letters(b))
}

fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase())
}

/// The candidate that is most like `name`, if any is like it enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.chars().count() / 3 + 1;
    candidates
        .into_iter()
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance with insertion, deletion and replacement.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_count() {
        assert!(same_name("kmsMasterKeyID", "KmsMasterKeyId"));
        assert!(same_name("hTTPSPort", "HttpsPort"));
        assert!(!same_name("queueARN", "queueURL"));
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let names = ["delaySeconds", "visibilityTimeout", "queueName"];
        assert_eq!(nearest("delayseconds", names), Some("delaySeconds"));
        assert_eq!(nearest("visbilityTimout", names), Some("visibilityTimeout"));
        assert_eq!(nearest("encryption", names), None);
    }
}
